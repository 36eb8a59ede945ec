"""What one feature does to every token's logit: one product with the unembedding, when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries
from dashboard.token_view import label
from precompute.errors import NotApplicableError

LONGEST_SEARCH = 200
N_FOUND = 10
"""Tokens shown of those that a search finds."""


@dataclass(frozen=True)
class FoundToken:
    """One token of the vocabulary, with what a feature does to it."""

    token_id: int
    token: str
    effect: float
    """Logits per unit of activation."""
    rank: int
    """From 1, the token that is promoted most, to the size of the vocabulary."""


@dataclass(frozen=True)
class TokenSearch:
    """What a search for tokens found."""

    shown: tuple[FoundToken, ...]
    """Exact matches first, then the strongest effects."""
    n_found: int
    d_vocab: int


def logit_effects(queries: Queries, feature: int) -> NDArray[np.float32]:
    """float32 [d_vocab]: directions[feature] @ unembed, in logits per unit of activation.

    That of the feature asked for last is kept. Raises NotApplicableError where a model has no output layer.
    """
    return queries.tables.last_asked(
        "logit effects of one feature", "directions", feature, lambda: _effects(queries, feature)
    )


def all_effects(queries: Queries, feature: int) -> pl.DataFrame:
    """token_id, token, logits_per_unit, rank of the whole vocabulary; tokens are spelled as on the pages."""
    effects, tokens = logit_effects(queries, feature), queries.vocabulary()
    labels = [label(token) for token in tokens[: len(effects)]]
    # A model may have more outputs than its tokenizer has tokens.
    labels += [""] * (len(effects) - len(labels))
    table = pl.DataFrame({"token_id": np.arange(len(effects)), "token": labels, "logits_per_unit": effects})
    return table.with_columns(rank=pl.col("logits_per_unit").rank("min", descending=True))


def d_vocab(queries: Queries) -> int:
    """Tokens on which features have an effect. Raises NotApplicableError where there is no output layer."""
    return int(unembedding(queries).shape[1])


def unembedding(queries: Queries) -> NDArray[np.float32]:
    """The effective unembedding: float32 [d_model, d_vocab], memory-mapped.

    Raises NotApplicableError where a model has no output layer.
    """
    unembed = queries.tables.derived("unembed", "directions", lambda: queries.artifacts.array("unembed"))
    if unembed.shape[1] == 0:
        reason = queries.artifacts.record("directions")["reason"]
        raise NotApplicableError(f"features have no direct effect on tokens: {reason}")
    return unembed


def _effects(queries: Queries, feature: int) -> NDArray[np.float32]:
    direction = np.asarray(queries.artifacts.array("directions")[feature])
    effects: NDArray[np.float32] = direction @ unembedding(queries)
    return effects


def search_of(value: object) -> str:
    """What is searched for; empty for nothing. Raises AddressError."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCH:
        raise AddressError(
            f"token {shortened(value)}", f"at most {LONGEST_SEARCH} characters", "search for a part of it"
        )
    return value


def find_tokens(queries: Queries, feature: int, search: str) -> TokenSearch:
    """Tokens whose text or label holds `search` (or whose number it is, as `#123`), with value and rank."""
    effects, tokens = logit_effects(queries, feature), queries.vocabulary()
    known = min(len(effects), len(tokens))
    if search.startswith("#") and search[1:].isascii() and search[1:].isdigit():
        found = [token_id for token_id in [int(search[1:])] if token_id < known]
    else:
        wanted = search.casefold()
        labels = _folded(queries)
        found = [i for i in range(known) if wanted in labels[i][0] or wanted in labels[i][1]]
    exact = {i for i in found if search in (tokens[i], label(tokens[i]))}
    order = sorted(found, key=lambda i: (i not in exact, -abs(float(effects[i])), i))
    shown = tuple(
        FoundToken(i, tokens[i], float(effects[i]), 1 + int((effects > effects[i]).sum()))
        for i in order[:N_FOUND]
    )
    return TokenSearch(shown, len(found), len(effects))


def _folded(queries: Queries) -> list[tuple[str, str]]:
    """Text and label of every token, without case."""

    def folded() -> list[tuple[str, str]]:
        return [(token.casefold(), label(token).casefold()) for token in queries.vocabulary()]

    return queries.tables.derived("folded vocabulary", "corpus", folded)


def effects_on(queries: Queries, feature: int, token_ids: Sequence[int]) -> dict[str, list[object]]:
    """Label and effect of some tokens by their number, as the browser reads them."""
    effects, tokens = logit_effects(queries, feature), queries.vocabulary()
    return {str(i): [label(tokens[i]), round(float(effects[i]), 8)] for i in token_ids if i < len(effects)}

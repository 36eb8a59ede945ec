"""What a few features do to the same tokens: those that all push one way, and those that divide them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.queries import Queries
from dashboard.questions.token_effects import unembedding

N_TOKENS = 10
"""Tokens of each kind."""


@dataclass(frozen=True)
class TokenOfSeveral:
    """One token, with what each feature does to it."""

    token: str
    effects: tuple[float, ...]
    """Logits per unit of activation, one for each feature."""


@dataclass(frozen=True)
class TokenComparison:
    """Tokens on which features agree, and tokens on which they do not; the strongest first.

    How strong an effect is, is measured by its feature's own spread: effect / std over the vocabulary.
    """

    promoted: tuple[TokenOfSeveral, ...]
    """Pushed up by all: by the smallest of the effects."""
    suppressed: tuple[TokenOfSeveral, ...]
    """Pushed down by all: by the smallest of the effects' sizes."""
    opposed: tuple[TokenOfSeveral, ...]
    """Pushed up by one and down by another: by the smaller of the two extremes."""


def compared_tokens(queries: Queries, features: tuple[int, ...]) -> TokenComparison:
    """Shared and opposed tokens over the whole vocabulary; that of the features asked for last is kept.

    Raises NotApplicableError where the model has no output layer.
    """

    def read() -> TokenComparison:
        effects = np.asarray(queries.artifacts.array("directions")[list(features)]) @ unembedding(queries)
        tokens = queries.vocabulary()
        return compare(effects[:, : len(tokens)], tokens)

    key = (queries.tables.fingerprint("corpus"), features)
    return queries.tables.last_asked("tokens of features together", "directions", key, read)


def compare(effects: NDArray[np.float32], tokens: list[str]) -> TokenComparison:
    """Shared and opposed tokens of effects [n_features, d_vocab]."""
    spread = effects.std(axis=1, keepdims=True)
    scaled = effects / np.where(spread > 0, spread, 1)
    lowest, highest = scaled.min(axis=0), scaled.max(axis=0)

    def strongest(score: NDArray[np.float32]) -> tuple[TokenOfSeveral, ...]:
        order = np.argsort(-score, kind="stable")[:N_TOKENS]
        chosen = order[score[order] > 0].tolist()
        return tuple(TokenOfSeveral(tokens[i], tuple(effects[:, i].tolist())) for i in chosen)

    return TokenComparison(
        promoted=strongest(lowest),
        suppressed=strongest(-highest),
        opposed=strongest(np.minimum(highest, -lowest)),
    )

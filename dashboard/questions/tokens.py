"""Questions about the tokens of the vocabulary: which there are, where they stand, and which features fire
on them or move their logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import DIGITS, AddressError, shortened
from dashboard.grid import Sort
from dashboard.queries import Queries
from dashboard.questions.token_effects import unembedding
from dashboard.sorted_rows import ordered
from dashboard.tables import optional
from dashboard.token_names import fit
from dashboard.token_view import label
from precompute.npy import open_npy

STEPS = ("corpus", "idf", "token_features")
"""Steps whose artifacts the table of tokens joins."""
TEXTS_A_PAGE = 10
"""Texts with a token that are shown at a time."""


def token_table(queries: Queries) -> pl.DataFrame:
    """One row a token: token_id, token, shown, letters, is_special; and what is computed of n_rows,
    document_frequency, idf, n_features, strongest (feature) and mean_act (its mean over the token's rows)."""
    return queries.tables.memo.get("token table", _version(queries), lambda: _build(queries))


def _version(queries: Queries) -> tuple[str | None, ...]:
    return tuple(queries.tables.fingerprint(step) for step in STEPS)


def _build(queries: Queries) -> pl.DataFrame:
    vocabulary = queries.tables.table("vocabulary", "corpus").sort("token_id")
    names = vocabulary["token"].fill_null("")
    table = pl.DataFrame(
        {
            "token_id": vocabulary["token_id"],
            "token": names,
            "shown": pl.Series([label(token) for token in names], dtype=pl.String),
            "letters": names.str.strip_chars().str.to_lowercase(),
            "is_special": vocabulary["is_special"],
        }
    )
    for part in (_counts(queries), _frequencies(queries), _strongest(queries)):
        if part is not None:
            table = table.join(part, on="token_id", how="left", maintain_order="left")
    return table


def _counts(queries: Queries) -> pl.DataFrame | None:
    return optional(lambda: queries.tables.table("token_counts", "token_features"))


def _frequencies(queries: Queries) -> pl.DataFrame | None:
    table = optional(lambda: queries.tables.table("idf", "idf"))
    return None if table is None else table.select("token_id", "document_frequency", "idf")


def _strongest(queries: Queries) -> pl.DataFrame | None:
    table = optional(lambda: queries.tables.table("token_features", "token_features"))
    if table is None:
        return None
    return table.filter(pl.col("rank") == 0).select("token_id", "mean_act", strongest="feature")


def token_order(queries: Queries, search: str, sorts: tuple[Sort, ...]) -> pl.DataFrame:
    """The tokens that fit a search, as sorted; without a sort the best fit first, then the most frequent."""
    table = token_table(queries)

    def found() -> pl.DataFrame:
        if not search:
            return ordered(table, sorts, "token_id")
        fitting = table.with_columns(fit=fit(search)).filter(pl.col("fit").is_not_null())
        usual = (Sort("fit", descending=False), Sort("n_rows", descending=True))
        return ordered(fitting, sorts or usual, "token_id").drop("fit")

    return queries.tables.memo.get(("tokens", search, sorts), _version(queries), found)


def known_token(queries: Queries, value: object) -> int:
    """A token's id; raises AddressError naming the valid range."""
    d_vocab = len(queries.vocabulary())
    is_number = isinstance(value, int) and not isinstance(value, bool)
    number = int(str(value)) if is_number or (isinstance(value, str) and DIGITS.fullmatch(value)) else -1
    if not d_vocab:
        raise AddressError(f"token {shortened(value)}", "nothing: no token is known", "see the features")
    if not 0 <= number < d_vocab:
        raise AddressError(
            f"token {shortened(value)}",
            f"a whole number from 0 to {d_vocab - 1:,}",
            "correct the id in the address, or search on the page of all tokens",
        )
    return number


@dataclass(frozen=True)
class Push:
    """What one feature does to a token's logit."""

    feature: int
    influence: float
    """Logits per unit of activation."""


def strongest_pushes(queries: Queries, token_id: int, direction: str) -> list[Push]:
    """The features that promote or suppress a token most, strongest first."""
    rows = rows_of_token(queries, "token_influences", "token_influences", token_id)
    chosen = rows.filter(pl.col("direction") == direction).sort("rank")
    return [Push(*row) for row in chosen.select("feature", "influence").iter_rows()]


def all_effects(queries: Queries, token_id: int) -> NDArray[np.float32]:
    """The direct effect of every feature on one token: float32 [d_sae], logits per unit of activation.

    Raises NotApplicableError where the model has no output layer.
    """
    unembed, directions = unembedding(queries), decoder_directions(queries)
    effects: NDArray[np.float32] = directions @ np.ascontiguousarray(unembed[:, token_id])
    return effects


def decoder_directions(queries: Queries) -> NDArray[np.float32]:
    """The decoder directions in memory: float32 [d_sae, d_model]."""

    def whole() -> NDArray[np.float32]:
        return np.array(queries.artifacts.array("directions"), dtype=np.float32)

    return queries.tables.derived("directions", "directions", whole)


def effect_table(queries: Queries, token_id: int) -> pl.DataFrame:
    """Every feature with its `effect` on a token, strongest first, beside columns of the feature table."""
    version = (queries.tables.fingerprint("directions"), *queries.artifacts_version())

    def built() -> pl.DataFrame:
        effects = all_effects(queries, token_id)
        table = pl.DataFrame({"feature": np.arange(len(effects), dtype=np.uint32), "effect": effects})
        known = optional(queries.feature_table)
        if known is not None:
            wanted = [c for c in ("promotes", "frac_active", "max", "cluster") if c in known.columns]
            others = known.select(pl.col("feature").cast(pl.UInt32), *wanted)
            table = table.join(others, on="feature", how="left", maintain_order="left")
        return table.sort("effect", "feature", descending=[True, False])

    return queries.tables.memo.get(("effects on", token_id), version, built)


def features_on(queries: Queries, token_id: int) -> pl.DataFrame:
    """The features that fire on a token most: feature, n_active, mean_act (over all its rows), max_act."""
    return rows_of_token(queries, "token_features", "token_features", token_id).sort("rank")


def rows_of_token(queries: Queries, name: str, step: str, token_id: int) -> pl.DataFrame:
    """One token's rows of a table; empty where it has none."""
    table = queries.tables.derived(
        f"by token {name}", step, lambda: queries.artifacts.table(name).sort("token_id", maintain_order=True)
    )
    ids = table["token_id"]
    return table[int(ids.search_sorted(token_id)) : int(ids.search_sorted(token_id, side="right"))]


@dataclass(frozen=True)
class Occurrence:
    """A place in a text at which a token stands."""

    example: int
    position: int
    """Of its first time in this text, in the example."""
    here: tuple[int, ...]
    """Positions of the example at which it stands, special ones included."""
    text_id: str
    chunk: int
    str_tokens: tuple[str, ...]
    """Of the whole example."""
    n_here: int
    """Times that the token stands in this text, on rows."""
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Occurrences:
    """Where a token stands: some of the texts, one place each."""

    n_rows: int
    n_texts: int
    """Texts that hold it."""
    page: int
    """From 1."""
    shown: tuple[Occurrence, ...]

    @property
    def n_pages(self) -> int:
        """Pages of texts; at least 1."""
        return max(1, -(-self.n_texts // TEXTS_A_PAGE))


def occurrences(queries: Queries, token_id: int, page: int) -> Occurrences:
    """One page of the texts that hold a token, in the corpus's order; raises AddressError beyond the last."""
    rows = _token_rows(queries, token_id)
    examples = np.searchsorted(queries.row_index().indptr, rows, side="right") - 1
    windows = queries.tables.table("windows", "corpus")
    texts = windows["text_index"].to_numpy()[examples]
    _, first, n_here = np.unique(texts, return_index=True, return_counts=True)
    found = Occurrences(len(rows), len(first), page, ())
    if not 1 <= page <= found.n_pages:
        raise AddressError(f"page {page:,} of the texts", f"1 to {found.n_pages:,}", "choose one on the page")
    shown = slice((page - 1) * TEXTS_A_PAGE, page * TEXTS_A_PAGE)
    places = zip(rows[first[shown]], examples[first[shown]], n_here[shown], strict=True)
    drawn = tuple(_occurrence(queries, token_id, int(r), int(e), int(n)) for r, e, n in places)
    return Occurrences(len(rows), len(first), page, drawn)


def _token_rows(queries: Queries, token_id: int) -> NDArray[Any]:
    """The rows at which a token stands, ascending; read from its own slice."""

    def arrays() -> tuple[NDArray[np.int64], NDArray[Any]]:
        directory = queries.artifacts.path("token_rows")
        indptr = open_npy(directory / "indptr.npy", mapped=False)
        return indptr, open_npy(directory / "rows.npy")

    indptr, rows = queries.tables.derived("token rows", "token_features", arrays)
    return np.asarray(rows[int(indptr[token_id]) : int(indptr[token_id + 1])])


def _occurrence(queries: Queries, token_id: int, row: int, example: int, n_here: int) -> Occurrence:
    index, tokens = queries.row_index(), queries.vocabulary()
    window = queries.tables.table("windows", "corpus").row(example, named=True)
    texts = queries.corpus_texts()
    text = texts.row(texts["text_index"].search_sorted(window["text_index"]), named=True)
    return Occurrence(
        example=example,
        position=int(index.position[row]),
        text_id=window["text_id"],
        chunk=window["chunk"],
        here=tuple(place for place, other in enumerate(window["token_ids"]) if other == token_id),
        str_tokens=tuple(tokens[i] for i in window["token_ids"]),
        n_here=n_here,
        metadata={k: v for k, v in text.items() if k not in ("text_index", "n_copies") and v is not None},
    )

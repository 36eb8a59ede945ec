"""Two sets of texts as features see them: texts that a person writes, or texts of the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import CORPUS_COLUMNS, Queries
from dashboard.questions.differences import Group
from dashboard.questions.passages import LONGEST_TEXT, Passage, checked_text
from precompute.stores.row_store import RowStore

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_TEXTS = 200
"""Texts of one set that the model reads."""


# Texts that a person writes.


def texts_of(value: object, split: str) -> tuple[str, ...]:
    """The texts of a field: one a line, or the whole as one; blank ones are none. Raises AddressError for
    too many."""
    written = checked_text(value)
    texts = tuple(text for text in (written.split("\n") if split == "lines" else [written]) if text.strip())
    if len(texts) > MOST_TEXTS:
        raise AddressError(
            f"{len(texts)} texts",
            f"at most {MOST_TEXTS}, one a line, {LONGEST_TEXT:,} characters",
            "take fewer",
        )
    return texts


def written_group(queries: Queries, texts: Sequence[str]) -> Group:
    """What the model makes of some texts; those without a token are left out."""
    passages = [Passage(text=text).asked(queries) for text in texts]
    read = queries.inference.ask("encode_many", passages=passages)
    some = [text for text in read if text["n_rows"]]
    if not some:
        raise AddressError("a set of texts without a token", "words", "write other texts")
    return group_of_sums(some, queries.d_sae())


def group_of_sums(texts: Sequence[Mapping[str, Any]], d_sae: int) -> Group:
    """A group from each text's n_rows, and the counts and sums of its features."""
    from scipy.sparse import csr_matrix

    indptr = np.cumsum([0, *(len(text["features"]) for text in texts)])
    features = np.concatenate([np.zeros(0, np.int64), *(text["features"] for text in texts)]).astype(np.int64)

    def matrix(name: str) -> csr_matrix:
        parts = [np.asarray(text[name], dtype=float) / text["n_rows"] for text in texts]
        data = np.concatenate([np.zeros(0), *parts])
        return csr_matrix((data, features, indptr), shape=(len(texts), d_sae))

    return Group.of(matrix("counts"), matrix("sums"))


# Texts of the corpus, from artifacts alone.


@dataclass(frozen=True)
class Choice:
    """Texts of the corpus by one metadata value; None chooses all that the other set leaves."""

    column: str
    value: str


def metadata_columns(queries: Queries) -> dict[str, list[str]]:
    """The values of each metadata column that has few enough to choose from, most frequent first."""

    def found() -> dict[str, list[str]]:
        texts = used_texts(queries)
        columns = {}
        for name in texts.columns:
            if name not in (*CORPUS_COLUMNS, "n_copies"):
                counts = texts[name].cast(pl.String, strict=False).drop_nulls().value_counts(sort=True)
                if 2 <= counts.height <= 500:
                    columns[name] = counts[name].to_list()
        return columns

    return queries.tables.derived("contrast columns", "corpus", found)


def used_texts(queries: Queries) -> pl.DataFrame:
    """The texts that examples are cut from, with their metadata, by text_index."""
    indices = queries.tables.table("windows", "corpus").select("text_index").unique()
    return queries.corpus_texts().join(indices, on="text_index", how="semi").sort("text_index")


def choice_of(queries: Queries, value: object) -> Choice | None:
    """`column:value` from an address or a callback; None for nothing. Raises AddressError otherwise."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        column, _, wanted = value.partition(":")
        if wanted in metadata_columns(queries).get(column, ()):
            return Choice(column, wanted)
    raise AddressError(
        f"the texts {shortened(value)}", "column:value of the corpus", "choose from the lists on the page"
    )


def corpus_groups(queries: Queries, a: Choice, b: Choice | None) -> tuple[Group, Group]:
    """Two sets of texts of the corpus; a text in both is an error."""
    texts = used_texts(queries)
    in_a = _mask(texts, a)
    in_b = ~in_a if b is None else _mask(texts, b)
    if (in_a & in_b).any() or not in_b.any():
        found = f"{int((in_a & in_b).sum())} texts in both sets, {int(in_b.sum())} in B"
        raise AddressError(found, "two sets apart, with a text each", "choose other values")
    texts_seen = queries.tables.derived("features by text", "activations", lambda: by_text(queries, texts))
    return texts_seen.group(in_a), texts_seen.group(in_b)


def _mask(texts: pl.DataFrame, choice: Choice) -> NDArray[np.bool_]:
    same = texts[choice.column].cast(pl.String, strict=False) == choice.value
    return same.fill_null(value=False).to_numpy()


@dataclass(frozen=True)
class ByText:
    """What fires in each text of the corpus, one line a text in the order of `used_texts`."""

    counts: csr_matrix
    """float32 [n_texts, d_sae]: rows on which a feature fires."""
    sums: csr_matrix
    """float32 [n_texts, d_sae]: of its activations."""
    n_rows: NDArray[np.int64]
    """[n_texts]"""

    def group(self, mask: NDArray[np.bool_]) -> Group:
        """Some of the texts; those without a row are left out."""
        chosen = np.flatnonzero(mask & (self.n_rows > 0))
        return Group.of(*(_per_row(matrix, chosen, self.n_rows) for matrix in (self.counts, self.sums)))


def by_text(queries: Queries, texts: pl.DataFrame) -> ByText:
    """Sum the activation store over the rows of each text, shard by shard."""
    store = queries.artifacts.row_store()
    windows = queries.tables.table("windows", "corpus")
    place = texts["text_index"].search_sorted(windows["text_index"]).to_numpy()
    row_texts = place[store.row_examples()]
    parts = [
        _shard_by_text(store, number, row_texts[slice(*store.row_offsets[number : number + 2])])
        for number in range(store.n_shards)
    ]
    # A text may lie in two shards, so the lines of the shards are summed once more.
    owners = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    counts, sums = (_stacked([part[i] for part in parts], owners, texts.height, store.d_sae) for i in (1, 2))
    return ByText(counts, sums, np.bincount(row_texts, minlength=texts.height))


def _shard_by_text(
    store: RowStore, number: int, row_texts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], csr_matrix, csr_matrix]:
    """The texts of a shard, and their counts and sums."""
    from scipy.sparse import csr_matrix

    features, indptr = store.values(number, "features").astype(np.int32), store.values(number, "indptr")
    acts = store.values(number, "acts").astype(np.float32)
    texts, local = np.unique(row_texts, return_inverse=True)
    ones = np.ones(len(local), dtype=np.float32)
    of_text = csr_matrix((ones, (local, np.arange(len(local)))), shape=(len(texts), len(local)))

    def summed(values: NDArray[np.float32]) -> csr_matrix:
        return of_text @ csr_matrix((values, features, indptr), shape=(len(local), store.d_sae))

    return texts, summed(np.ones_like(acts)), summed(acts)


def _stacked(parts: list[csr_matrix], owners: NDArray[np.int64], n_texts: int, d_sae: int) -> csr_matrix:
    from scipy.sparse import csr_matrix, vstack

    ones = np.ones(len(owners), dtype=np.float32)
    of_text = csr_matrix((ones, (owners, np.arange(len(owners)))), shape=(n_texts, len(owners)))
    empty = csr_matrix((0, d_sae), dtype=np.float32)
    return (of_text @ vstack([empty, *parts], format="csr")).tocsr()


def _per_row(matrix: csr_matrix, chosen: NDArray[np.int64], n_rows: NDArray[np.int64]) -> csr_matrix:
    """Some lines of a matrix in float64, each over its text's rows."""
    lines = matrix[chosen].astype(np.float64)
    lines.data /= np.repeat(n_rows[chosen], np.diff(lines.indptr))
    return lines

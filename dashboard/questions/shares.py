"""What kinds of text a feature fires on: shares of metadata values among its rows against the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.rows import examples_of_rows, metadata_values, texts_of_examples

MOST_VALUES = 100
"""Columns with more different values are left out."""
Z = 1.959964
"""Standard errors in a 95 % interval of a normal distribution."""


@dataclass(frozen=True)
class ValueShare:
    """How much of a feature's rows stands in texts with one value."""

    value: str
    n_rows: int
    """Rows on which the feature fires."""
    n_texts: int
    """Texts that hold them."""
    share: float
    low: float
    """95 % interval of `share`, with texts as the independent units; NaN for fewer than two texts."""
    high: float
    corpus_share: float
    """Of all rows of the corpus."""

    @property
    def lift(self) -> float:
        """How much more often than in the corpus: share / corpus_share."""
        return self.share / self.corpus_share


@dataclass(frozen=True)
class ColumnShares:
    """One column of the metadata."""

    column: str
    values: tuple[ValueShare, ...]
    """Most rows first; only values with a row on which the feature fires."""
    n_values: int
    """Different values in the corpus."""


@dataclass(frozen=True)
class MetadataShares:
    """Every column with few enough values."""

    columns: tuple[ColumnShares, ...]
    left_out: tuple[str, ...]
    """Columns with one value only, or with too many."""


def metadata_shares(queries: Queries, feature: int) -> MetadataShares:
    """Exact counts over all rows on which a feature fires."""
    texts = texts_of_examples(queries)
    n_texts = queries.corpus_texts().height
    examples = examples_of_rows(queries, queries.activations(feature).rows)
    fired = np.bincount(texts.text[examples], minlength=n_texts)
    corpus = np.bincount(texts.text, weights=np.diff(queries.row_index().indptr), minlength=n_texts)
    columns, left_out = [], []
    for column in summaries.corpus(queries).metadata_columns:
        values = metadata_values(queries, column)
        n_values = values.drop_nulls().n_unique()
        if 2 <= n_values <= MOST_VALUES:
            columns.append(ColumnShares(column, column_shares(values, fired, corpus), n_values))
        else:
            left_out.append(column)
    return MetadataShares(tuple(columns), tuple(left_out))


def column_shares(values: pl.Series, fired: NDArray[Any], corpus: NDArray[Any]) -> tuple[ValueShare, ...]:
    """Shares of each value; `fired` and `corpus` count rows by text, all [n_texts]. Null is no value.

    The interval is that of a ratio estimate over texts (Cochran 1977, 6.4): with x the active rows of a text,
    S the sum of x² over all texts and S_v that over texts with the value,
    Var(p) = m/(m-1) · ((1-p)² S_v + p² (S - S_v)) / (Σx)².
    """
    table = pl.DataFrame({"value": values, "x": fired, "rows": corpus}).drop_nulls("value")
    active = table.filter(pl.col("x") > 0)
    n_active, n_rows, m = int(active["x"].sum()), float(table["rows"].sum()), active.height
    squares = float((active["x"].cast(pl.Float64) ** 2).sum())
    in_corpus = dict(table.group_by("value").agg(pl.col("rows").sum()).iter_rows())
    grouped = active.group_by("value").agg(
        n_rows=pl.col("x").sum(), n_texts=pl.len(), own=(pl.col("x").cast(pl.Float64) ** 2).sum()
    )
    shares = []
    for value, rows, n_texts, own in grouped.sort("n_rows", "value", descending=[True, False]).iter_rows():
        p = rows / n_active
        error = (
            np.sqrt(m / (m - 1) * ((1 - p) ** 2 * own + p**2 * (squares - own))) / n_active
            if m > 1
            else np.nan
        )
        low, high = np.clip([p - Z * error, p + Z * error], 0, 1).tolist()
        shares.append(ValueShare(value, rows, n_texts, p, low, high, in_corpus[value] / n_rows))
    return tuple(shares)

"""Where one feature fires, row by row: the text of each row, and the rows of a range of activations."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries

NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?"
RANGE = re.compile(rf"({NUMBER}):({NUMBER})", re.ASCII | re.IGNORECASE)
LONGEST_RANGE = 64


@dataclass(frozen=True)
class Span:
    """A range of activations."""

    low: float
    high: float
    as_band: bool = False
    """A band of `examples.parquet` holds its upper end, not its lower one; a bar of the histogram the other
    way round, but for the last bar, which holds both."""

    def holds(self, acts: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of a feature's activations lie in it: bool [n]."""
        values = acts.astype(np.float64)
        if self.as_band:
            return (values > self.low) & (values <= self.high)
        is_last = len(values) > 0 and self.high >= values.max()
        return (values >= self.low) & ((values <= self.high) if is_last else (values < self.high))


def span_of(value: object) -> Span | None:
    """A range as an address has it, such as `1.5:2`; None for none. Raises AddressError."""
    if value is None or value == "":
        return None
    found = RANGE.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    low, high = (float(found[1]), float(found[2])) if found else (math.nan, math.nan)
    if not (isinstance(value, str) and len(value) <= LONGEST_RANGE and low <= high and math.isfinite(high)):
        raise AddressError(
            f"range {shortened(value)}", "two activations such as 1.5:2, the lower first", "correct the range"
        )
    return Span(low, high)


@dataclass(frozen=True)
class TextsOfExamples:
    """Which text each example is cut from; all [n_examples]."""

    text: NDArray[np.int64]
    """Its row in `Queries.corpus_texts()`."""
    group: NDArray[np.int64]
    """Equal for texts that are equal."""


def texts_of_examples(queries: Queries) -> TextsOfExamples:
    """The text of every example."""

    def found() -> TextsOfExamples:
        texts = queries.artifacts.scan("corpus").select("text_index", "duplicate_of").collect()
        texts = texts.sort("text_index")
        place = texts["text_index"].search_sorted(queries.tables.table("windows", "corpus")["text_index"])
        text = place.to_numpy().astype(np.int64)
        return TextsOfExamples(text, texts["duplicate_of"].to_numpy().astype(np.int64)[text])

    return queries.tables.derived("texts of examples", "corpus", found)


def examples_of_rows(queries: Queries, rows: NDArray[Any]) -> NDArray[np.int64]:
    """The example of each row: int64 [n]."""
    return np.searchsorted(queries.row_index().indptr, rows, side="right") - 1


def one_a_text(entries: NDArray[np.int64], groups: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The first entries that are of different texts; `groups` has the text of every entry there is."""
    _, first = np.unique(groups[entries], return_index=True)
    return entries[np.sort(first)[:most]]


def listed(
    queries: Queries, examples: NDArray[np.int64], rows: NDArray[Any], acts: NDArray[np.float32]
) -> pl.DataFrame:
    """Examples like those of `examples.parquet`: rank, example, position and activation; all [n]."""
    return pl.DataFrame(
        {
            "rank": np.arange(len(examples)),
            "example": examples,
            "position": queries.row_index().position[rows].astype(np.int64),
            "activation": acts.astype(np.float64),
        }
    )


def band_spans(queries: Queries, feature: int) -> dict[str, Span]:
    """The activations of each quantile and value band, by its name, as the step `examples` divides them."""
    acts = queries.activations(feature).acts.astype(np.float64)
    names = [band.name for band in queries.bands(feature)]
    spans: dict[str, Span] = {}
    for group in "qv":
        n = sum(name.startswith(group) for name in names)
        if not len(acts) or not n:
            continue
        shares = np.arange(1, n) / n
        inner = np.quantile(acts, shares) if group == "q" else acts.max() * shares
        first = -np.inf if group == "q" else 0.0
        edges = [first, *inner.tolist(), float(acts.max())]
        spans |= {f"{group}{i + 1}": Span(edges[i], edges[i + 1], as_band=True) for i in range(n)}
    return {name: spans[name] for name in names if name in spans}


def metadata_values(queries: Queries, column: str) -> pl.Series:
    """A metadata column as text, in the order of `Queries.corpus_texts()`; null where absent."""

    def values() -> pl.Series:
        return queries.corpus_texts()[column].cast(pl.String, strict=False)

    return queries.tables.derived(f"metadata {column}", "corpus", values)

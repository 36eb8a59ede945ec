"""The histogram of one feature's activations, with a person's own number of bins and range: exact, from one
read of the feature-major store."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries
from dashboard.questions.rows import Span, span_of
from dashboard.records import Histogram

FEWEST, MOST = 2, 500
"""Bins that may be asked for."""
WHOLE = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class Bins:
    """What a person asks of a histogram; nothing gives the one of `histograms.parquet`."""

    n: int | None = None
    """None for as many as the artifact has."""
    span: Span | None = None
    """The range that is divided, both ends included; None for all of the values."""

    @property
    def are_own(self) -> bool:
        """Whether anything was asked for."""
        return self.n is not None or self.span is not None


@dataclass(frozen=True)
class Binned:
    """A histogram, and what its range leaves out."""

    histogram: Histogram
    n_below: int = 0
    """Non-zero activations below the range."""
    n_above: int = 0
    """Non-zero activations above the range."""
    zeros_left_out: bool = False
    """Whether zeros were to be counted, and lie outside the range."""


def bins_of(number: object, span: object) -> Bins:
    """What an address asks for, such as `100` and `0.5:4`; empty is nothing. Raises AddressError."""
    return Bins(_number_of(number), _range_of(span))


def _number_of(value: object) -> int | None:
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not WHOLE.fullmatch(text) or not FEWEST <= int(text) <= MOST:
        expected = f"a whole number from {FEWEST} to {MOST}"
        raise AddressError(f"bins {shortened(value)}", expected, "correct the number of bins")
    return int(text)


def _range_of(value: object) -> Span | None:
    span = span_of(value)
    if span is not None and not (span.low < span.high and math.isfinite(span.high - span.low)):
        raise AddressError(
            f"range {shortened(value)}", "two activations that differ, such as 0:4", "correct the range"
        )
    return span


def binned(queries: Queries, feature: int, bins: Bins, with_zero: bool) -> Binned:
    """A feature's histogram as asked for.

    With bins of one's own and `with_zero` the zeros are values like others: `zero_bin` is where they lie, and
    the range begins at 0 unless another one is asked for.
    """
    if not bins.are_own:
        return Binned(queries.histogram(feature))
    acts = queries.activations(feature).acts.astype(np.float64)
    n_zero = queries.store().n_rows - len(acts)
    n_bins = bins.n or len(queries.histogram(feature).counts)
    if not len(acts):
        return Binned(Histogram(np.zeros(0), np.zeros(0, np.int64), n_zero))
    edges = bin_edges(acts, n_bins, bins.span, with_zero and n_zero > 0)
    low, high = float(edges[0]), float(edges[-1])
    counts = np.histogram(acts, n_bins, (low, high))[0]
    if (acts == high).any() and (acts > high).any():
        # The last bin holds its upper end; a range of examples does not, and is to show the same rows.
        edges[-1] = np.nextafter(high, np.inf)
    found = Histogram(edges, counts, n_zero)
    left_out = Binned(found, int((acts < low).sum()), int((acts > high).sum()))
    if not with_zero or not n_zero:
        return left_out
    if not low <= 0 <= high:
        return replace(left_out, histogram=replace(found, n_zero=0), zeros_left_out=True)
    zero_bin = int(np.histogram([0.0], n_bins, (low, high))[0].argmax())
    return replace(left_out, histogram=replace(found, zero_bin=zero_bin))


def bin_edges(
    acts: NDArray[np.float64], n_bins: int, span: Span | None, with_zero: bool
) -> NDArray[np.float64]:
    """float64 [n_bins + 1], as numpy.histogram has them. Raises AddressError for a range too narrow."""
    ends = np.array([acts.min(), acts.max()])
    if with_zero:
        ends = np.array([min(ends[0], 0.0), max(ends[1], 0.0)])
    try:
        edges: NDArray[np.float64] = np.histogram_bin_edges(
            ends, n_bins, None if span is None else (span.low, span.high)
        )
    except ValueError:
        raise AddressError(
            f"{n_bins} bins in a range so narrow", "bins that differ from one another", "widen the range"
        ) from None
    return edges

"""How often features fire: in bands, each with the view of the feature table that lists its features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dashboard.address import with_parameters
from dashboard.grid import Filter, Sort, View, parameters_of_view
from dashboard.queries import Queries
from dashboard.records import FrequencyDistribution, Histogram

DENSE_SHARE = 0.1
"""A feature that fires on more than this share of rows counts as dense."""


@dataclass(frozen=True)
class FrequencyBand:
    """Features that fire about as often as each other."""

    low: float
    """Share of rows from which, 0 to 1; 0 for those that never fire."""
    high: float
    """Share of rows below which; the last band holds it too."""
    n_features: int
    is_dense: bool
    path: str
    """The page of the table that lists them."""


def distribution(queries: Queries) -> FrequencyDistribution:
    """How often features fire, over all that are computed."""
    shares = queries.tables.table("feature_stats", "feature_stats")["frac_active"].to_numpy()
    firing = np.log10(shares[shares > 0])
    lowest = np.floor(firing.min() * 2) / 2 if len(firing) else -1.0
    edges = np.linspace(lowest, 0, max(1, round(-lowest * 10)) + 1)
    counts = np.histogram(shares[shares > 0], 10**edges)[0]
    return FrequencyDistribution(
        Histogram(edges, counts, int((shares == 0).sum())),
        n_features=len(shares),
        n_dense=int((shares > DENSE_SHARE).sum()),
        dense_share=DENSE_SHARE,
    )


def bands(found: FrequencyDistribution) -> tuple[FrequencyBand, ...]:
    """The bars of the distribution, and before them the features that never fire, if there are any."""
    edges = [10.0**edge for edge in found.histogram.bin_edges.tolist()]
    spans = list(pairwise(edges))
    firing = [
        FrequencyBand(low, high, n, low >= found.dense_share, _listed(low, high, high == edges[-1]))
        for (low, high), n in zip(spans, found.histogram.counts.tolist(), strict=True)
    ]
    n_dead = found.histogram.n_zero
    return (*([FrequencyBand(0, 0, n_dead, False, dead_path())] if n_dead else []), *firing)


def _listed(low: float, high: float, is_last: bool) -> str:
    # The table's ranges hold both ends, a band only its lower one.
    upper = high if is_last else math.nextafter(high, 0)
    return _path(View((Sort("frac_active", True),), (Filter("frac_active", "inRange", low, upper),)))


def dead_path() -> str:
    """The table of the features that never fire."""
    return _path(View((), (Filter("n_nonzero", "equals", 0),)))


def dense_path(share: float) -> str:
    """The table of the features that fire on more than a share of the rows, most frequent first."""
    return _path(View((Sort("frac_active", True),), (Filter("frac_active", "greaterThan", share),)))


def _path(view: View) -> str:
    return with_parameters("/features", parameters_of_view(view))

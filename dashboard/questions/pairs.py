"""Two features over the rows on which either fires."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dashboard.queries import Queries
from dashboard.questions.drawn import seed_of
from dashboard.questions.rows import examples_of_rows
from dashboard.records import Pair
from dashboard.tables import optional

MOST_POINTS = 5000
"""Rows drawn in a scatter; where there are more, this many are sampled by seed."""


def pair(queries: Queries, feature: int, other: int) -> Pair:
    """Two features row by row, exactly; what is drawn may be a sample."""
    mine = queries.activations(feature)
    theirs = queries.tables.reading("transpose", lambda: queries.artifacts.feature(other))
    rows = np.union1d(mine.rows, theirs.rows).astype(np.int64)
    first, second = np.zeros((2, len(rows)), dtype=np.float32)
    first[np.searchsorted(rows, mine.rows)] = mine.acts
    second[np.searchsorted(rows, theirs.rows)] = theirs.acts
    n_rows, seed = queries.store().n_rows, seed_of(queries)
    sampled = len(rows) > MOST_POINTS
    shown = (
        np.sort(np.random.default_rng([seed, feature, other]).choice(len(rows), MOST_POINTS, replace=False))
        if sampled
        else np.arange(len(rows))
    )
    return Pair(
        feature=feature,
        other=other,
        n_rows=n_rows,
        n_either=len(rows),
        n_both=int(((first != 0) & (second != 0)).sum()),
        n_first=len(mine.rows),
        n_second=len(theirs.rows),
        pearson=_pearson(first.astype(np.float64), second.astype(np.float64), n_rows),
        rows=rows[shown],
        first=first[shown],
        second=second[shown],
        seed=seed if sampled else None,
    )


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64], n: int) -> float:
    """Correlation over n rows, of which those not in x and y are zero in both."""
    covariance = x @ y / n - x.sum() / n * (y.sum() / n)
    variances = [(v @ v) / n - (v.sum() / n) ** 2 for v in (x, y)]
    scale = math.sqrt(max(variances[0], 0) * max(variances[1], 0))
    return float(np.clip(covariance / scale, -1, 1)) if scale > 0 else math.nan


def examples_and_positions(queries: Queries, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where each row stands: its example, and its token in it."""
    position = queries.row_index().position[rows]
    return list(zip(examples_of_rows(queries, rows).tolist(), position.tolist(), strict=True))


def usual_partner(queries: Queries, feature: int) -> int | None:
    """The feature that fires most on the same rows, or else the nearest direction; None if unknown."""
    for step, column in (("coactivations", "other"), ("neighbors", "neighbor")):
        table = optional(lambda step=step: queries.rows_of(step, feature))  # type: ignore[misc]
        if table is not None and table.height:
            return int(table[column][0])
    return None

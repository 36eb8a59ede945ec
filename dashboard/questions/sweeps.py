"""Questions about best-of-K sweeps: their curves, their rows, the explanations of one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, one_of, shortened
from dashboard.queries import Queries
from precompute.errors import ArtifactMissingError
from precompute.sweeps.named import RESULTS
from precompute.sweeps.results import SweepResult, open_sweep

ORDERS: Mapping[str, str] = {
    "worst": "Fails most",
    "best": "Recovers most",
    "gain": "Gains most by K",
}
"""Of rows: by the share of the row's own distance from the mean that the largest K recovers."""
SCORES: Mapping[str, str] = {
    "variance_recovery": "Variance recovered",
    "r_squared": "R² around the mean vector",
    "mse": "Mean squared error",
}
LISTED = 15
"""Rows in the list."""
MOST_RUNS = 8
"""Curves in the figure at most."""


@dataclass(frozen=True)
class SweepRun:
    """One published sweep."""

    name: str
    version: int
    result: SweepResult

    @property
    def entries(self) -> list[dict[str, Any]]:
        """For each K, the scores."""
        found: list[dict[str, Any]] = self.result.record["results"]
        return found


@dataclass(frozen=True)
class RowScores:
    """What the list of rows shows; one entry a row."""

    recovery: NDArray[np.float64]
    """[n_rows, n_k]: share of the squared distance from the mean that best of K recovers; NaN without one."""
    token_id: NDArray[np.int64]
    """[n_rows]: the token at which the activation was taken."""
    position: NDArray[np.int64]
    """[n_rows]"""


@dataclass(frozen=True)
class Explanation:
    """One explanation of a row."""

    number: int
    """Of the sample, from 0."""
    tokens: list[str]
    recovery: float | None
    """1 - its squared error / the row's squared distance from the mean."""
    error: float
    """Squared error."""


@dataclass(frozen=True)
class OpenedRow:
    """One activation with its explanations."""

    row: int
    text_id: str
    chunk: int
    position: int
    str_tokens: list[str]
    """Of its window."""
    distance: float
    """Squared distance from the mean activation."""
    recovery: list[float | None]
    """By K."""
    explanations: list[Explanation]
    """The best first."""


def directory(queries: Queries) -> Path:
    """Where results are found."""
    return queries.artifacts.subject.data_dir / RESULTS


def names(queries: Queries) -> list[str]:
    """The sweeps that have results."""
    found = sorted(directory(queries).glob("*.json"))
    return [p.stem for p in found if p.with_name(f"{p.stem}.rows.parquet").is_file()]


def opened(queries: Queries, name: str) -> SweepRun:
    """A sweep's results; raises AddressError for one that there is not."""
    known = names(queries)
    if name not in known:
        raise AddressError(f"sweep {shortened(name)}", f"one of {', '.join(known)}", "choose one on the page")
    path = directory(queries) / f"{name}.json"
    version = path.stat().st_mtime_ns
    return queries.tables.memo.get(
        ("sweep", name), version, lambda: SweepRun(name, version, open_sweep(path))
    )


def chosen(queries: Queries, runs: str | None) -> list[SweepRun]:
    """The sweeps of an address, `a,b`, or the first; raises ArtifactMissingError where there are none."""
    known = names(queries)
    if not known:
        raise ArtifactMissingError(
            f"no sweep in {directory(queries)}; run: python -m precompute.sweeps.best_of_k +eval=quick"
        )
    wanted = known[:MOST_RUNS] if runs is None else [name for name in runs.split(",") if name]
    if len(wanted) > MOST_RUNS or len(set(wanted)) < len(wanted) or not wanted:
        raise AddressError(
            f"{len(wanted)} sweeps", f"1 to {MOST_RUNS} different ones", "choose them on the page"
        )
    return [opened(queries, name) for name in wanted]


def row_scores(queries: Queries, run: SweepRun) -> RowScores:
    """The scores of every row."""

    def read() -> RowScores:
        columns = ["recovery", "position", "token_ids"]
        rows = run.result.rows.select(
            *columns[:2], token_id=pl.col("token_ids").list.get(pl.col("position"))
        ).collect()
        recovery = np.array([[np.nan if v is None else v for v in r] for r in rows["recovery"].to_list()])
        return RowScores(recovery, rows["token_id"].to_numpy(), rows["position"].to_numpy())

    return queries.tables.memo.get(("sweep rows", run.name), run.version, read)


def ordered(found: RowScores, order: str) -> list[int]:
    """The first rows of an order; those without a score are left out."""
    last = found.recovery[:, -1]
    key = {"worst": last, "best": -last, "gain": found.recovery[:, 0] - last}[order]
    numbers = np.argsort(key, kind="stable")
    return [int(n) for n in numbers[~np.isnan(key[numbers])][:LISTED]]


def order_of(value: object) -> str:
    """The order that an address names; raises AddressError."""
    return one_of(value, tuple(ORDERS), "order")


def row_of(queries: Queries, run: SweepRun, value: str | None, default: int) -> OpenedRow:
    """The row that an address names, with its explanations; raises AddressError."""
    n_rows = run.result.record["n_rows"]
    text = str(default) if value is None else value
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < n_rows):
        raise AddressError(
            f"row {shortened(text)}", f"a whole number from 0 to {n_rows - 1:,}", "choose one on the page"
        )
    number = int(text)
    return queries.tables.memo.get(
        ("sweep row", run.name, number), run.version, lambda: _opened_row(run, number)
    )


def _opened_row(run: SweepRun, number: int) -> OpenedRow:
    (row,) = run.result.rows.slice(number, 1).collect().to_dicts()
    vocabulary, distance = run.result.vocabulary, row["distance"]
    explanations = [
        Explanation(
            index,
            [vocabulary[token] for token in tokens],
            1 - error / distance if distance > 0 else None,
            error,
        )
        for index, (tokens, error) in enumerate(zip(row["samples"], row["errors"], strict=True))
    ]
    return OpenedRow(
        number,
        row["text_id"],
        row["chunk"],
        row["position"],
        [vocabulary[token] for token in row["token_ids"]],
        distance,
        row["recovery"],
        sorted(explanations, key=lambda one: (one.error, one.number)),
    )

"""The results of a sweep: one JSON with the curves, and a table with every row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from precompute.errors import StoreError

FORMAT_VERSION = 1
SELECTION = (
    "oracle: the best of K is the explanation whose reconstruction is closest to the activation itself, "
    "which no user of an explanation alone could choose"
)
ESTIMATORS = {
    "subsets": "mean over all subsets of size K of the pool: the i-th best of n has weight "
    "C(n-i, K-1) / C(n, K); mse is unbiased; variance_recovery and r_squared are plug-in",
    "first": "the first K samples of the pool, so that each K's are among those of the larger ones",
}
ROWS_SCHEMA: Mapping[str, Any] = {
    "row": pl.UInt32,
    "text_id": pl.String,
    "chunk": pl.UInt32,
    "position": pl.UInt32,
    "token_ids": pl.List(pl.Int32),
    "distance": pl.Float64,
    "best": pl.UInt32,
    "errors": pl.List(pl.Float64),
    "samples": pl.List(pl.List(pl.Int32)),
    "mse": pl.List(pl.Float64),
    "recovery": pl.List(pl.Float64),
}
"""Columns of the table of rows."""
ROWS_PER_GROUP = 256
"""Rows that are read where one is asked for."""


def record(
    configuration: dict[str, Any],
    fingerprints: dict[str, str],
    counts: dict[str, int],
    curves: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """The JSON: `curves` has, for each estimator and K, the scores with their intervals."""
    k_values = configuration["k_values"]
    results = [
        {"k": k, **curves["subsets"][index], "first_k": curves["first"][index]}
        for index, k in enumerate(k_values)
    ]
    return {
        "format_version": FORMAT_VERSION,
        "selection": SELECTION,
        "estimators": ESTIMATORS,
        "configuration": configuration,
        "fingerprints": fingerprints,
        **counts,
        "results": results,
        "summary": _summary(results),
    }


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """From the smallest K to the largest; predicting the mean recovers 0."""
    first, last = results[0], results[-1]
    found: dict[str, Any] = {"smallest_k": first["k"], "largest_k": last["k"], "predicting_the_mean": 0.0}
    for name in ("variance_recovery", "r_squared", "mse"):
        ends = first[name]["estimate"], last[name]["estimate"]
        found[name] = {"smallest_k": ends[0], "largest_k": ends[1], "gain": _difference(*ends)}
    return found


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def recoveries(mse: npt.NDArray[np.float64], distance: npt.NDArray[np.float64], d_in: int) -> pl.Series:
    """1 - squared error / squared distance from the mean, for each row and K; null where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - mse * d_in / distance[:, None]
    lists = [[float(v) if np.isfinite(v) else None for v in row] for row in found]
    return pl.Series("recovery", lists, dtype=pl.List(pl.Float64))


@dataclass(frozen=True)
class SweepResult:
    """Published results; read when they are asked for."""

    path: Path
    """The JSON."""

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the JSON holds."""
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return self.path.name.removesuffix(".json")

    @property
    def k_values(self) -> list[int]:
        """The Ks."""
        return [entry["k"] for entry in self.record["results"]]

    @property
    def rows_file(self) -> Path:
        """The table of rows."""
        return self.path.with_name(f"{self.name}.rows.parquet")

    @property
    def rows(self) -> pl.LazyFrame:
        """One entry for each activation; see ROWS_SCHEMA."""
        return pl.scan_parquet(self.rows_file)

    @cached_property
    def vocabulary(self) -> list[str]:
        """The text of every token id."""
        path = self.path.with_name(f"{self.name}.vocabulary.parquet")
        return pl.read_parquet(path)["token"].to_list()


def open_sweep(path: Path | str) -> SweepResult:
    """Open results by their JSON; raises StoreError for what is none."""
    found = SweepResult(Path(path))
    try:
        known = found.record.get("format_version") == FORMAT_VERSION and "results" in found.record
    except (OSError, ValueError, AttributeError):
        known = False
    if not known:
        raise StoreError(
            f"no results of a sweep in {path}",
            "the JSON that a sweep writes",
            "run `python -m precompute.sweeps.best_of_k`, or correct the path",
        )
    return found

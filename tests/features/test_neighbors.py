"""Neighbours as a step: over all features, whatever part is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from precompute.features import neighbors
from tests.builders import step_context


def make_directions(root: Path, n: int = 70, d: int = 9) -> np.ndarray:
    """Random directions, one of norm zero, two equal ones."""
    directions = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    directions[7], directions[11] = 0, directions[12]
    np.save(root / "directions.npy", directions)
    return directions


def table(root: Path, name: str, settings: dict[str, Any] | None = None, workers: int = 1) -> pl.DataFrame:
    files = {"directions.npy": root / "directions.npy"}
    context = step_context(root / name, files, settings, workers=workers)
    neighbors.run(context)
    return pl.read_parquet(context.out / "neighbors.parquet")


def test_equals_the_reference(tmp_path: Path) -> None:
    values = make_directions(tmp_path).astype(np.float64)
    found = table(tmp_path, "out", {"n_neighbors": 5})
    norms = np.linalg.norm(values, axis=1)
    for feature in range(70):
        rows = found.filter(pl.col("feature") == feature)
        others = [o for o in range(70) if o != feature and norms[o] and norms[feature]]
        cosine = {o: values[feature] @ values[o] / norms[feature] / norms[o] for o in others}
        nearest = sorted(others, key=lambda o: (-round(cosine[o], 12), o))[:5]
        assert rows["neighbor"].to_list() == nearest
        assert rows["rank"].to_list() == list(range(len(nearest)))
        np.testing.assert_allclose(rows["cosine"], [cosine[o] for o in nearest], atol=1e-7)


def test_part_of_the_features_has_neighbours_among_all(tmp_path: Path) -> None:
    make_directions(tmp_path)
    whole, part = table(tmp_path, "whole"), table(tmp_path, "part", {"features": (5, 14)})
    assert part.equals(whole.filter(pl.col("feature").is_between(5, 13)))
    assert part["neighbor"].max() > 13


def test_workers_do_not_matter(tmp_path: Path) -> None:
    make_directions(tmp_path)
    table(tmp_path, "one")
    table(tmp_path, "two", workers=2)
    one, two = (tmp_path / name / "neighbors.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()

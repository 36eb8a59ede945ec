"""Influences, token influences and logit statistics against float64 NumPy, however they are tiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from precompute.errors import NotApplicableError
from precompute.features.effects import TILE, EffectTile, context_tiles, effect_tiles
from precompute.features.influences import influences
from precompute.features.logit_stats import tile_statistics
from precompute.features.token_influences import token_influences
from tests.builders import step_context

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 9), st.integers(0, 10_000))


def random_matrices(shape: tuple[int, int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Small whole numbers, so that products are exact in any order and ties are frequent."""
    d_sae, d_model, d_vocab, seed = shape
    draw = np.random.default_rng(seed)
    directions = draw.integers(-2, 3, size=(d_sae, d_model)).astype(np.float32)
    return directions, draw.integers(-2, 3, size=(d_model, d_vocab)).astype(np.float32)


@pytest.mark.parametrize("chunk_size", [1, TILE, TILE + 1, 10 * TILE])
def test_the_size_of_chunks_changes_no_bit(chunk_size: int) -> None:
    draw = np.random.default_rng(1)
    directions = draw.normal(size=(3 * TILE + 7, 24)).astype(np.float32)
    unembed = draw.normal(size=(24, 130)).astype(np.float32)
    listed = range(len(directions))
    whole = np.concatenate([tile.influence for tile in effect_tiles(directions, unembed, listed)])
    chunks = list(effect_tiles(directions, unembed, listed, chunk_size))
    np.testing.assert_array_equal(np.concatenate([chunk.influence for chunk in chunks]), whole)
    assert [chunk.first for chunk in chunks] == list(range(0, len(directions), -(-chunk_size // TILE) * TILE))


def best(values: NDArray[np.float64], sign: float, k: int) -> list[tuple[int, float]]:
    """The k largest sign * value, the smaller index first among equals."""
    order = sorted(range(len(values)), key=lambda i: (-sign * values[i], i))
    return [(i, values[i]) for i in order[:k]]


@settings(max_examples=60)
@given(shape=SHAPES, top_k=st.integers(1, 6))
def test_both_readings_of_the_matrix_equal_sorting_it(shape: tuple[int, int, int, int], top_k: int) -> None:
    directions, unembed = random_matrices(shape)
    matrix = directions.astype(np.float64) @ unembed.astype(np.float64)
    by_feature = influences(effect_tiles(directions, unembed, range(len(directions))), top_k)
    by_token = token_influences(
        effect_tiles(directions, unembed, range(len(directions))),
        unembed.shape[1],
        min(top_k, len(directions)),
    )
    for name, sign in (("promotes", 1.0), ("suppresses", -1.0)):
        for feature in range(len(directions)):
            part = by_feature.filter(feature=feature, direction=name)
            assert part["rank"].to_list() == list(range(part.height))
            assert part.select("token_id", "influence").rows() == best(matrix[feature], sign, top_k)
        for token in range(unembed.shape[1]):
            part = by_token.filter(token_id=token, direction=name)
            assert part["rank"].to_list() == list(range(part.height))
            assert part.select("feature", "influence").rows() == best(matrix[:, token], sign, top_k)


@settings(max_examples=60)
@given(shape=SHAPES, n_bins=st.integers(1, 7))
def test_statistics_equal_numpy(shape: tuple[int, int, int, int], n_bins: int) -> None:
    directions, unembed = random_matrices(shape)
    matrix = directions.astype(np.float64) @ unembed.astype(np.float64)
    table = tile_statistics(EffectTile(5, matrix.astype(np.float32)), n_bins)
    assert table["feature"].to_list() == list(range(5, 5 + len(matrix)))
    for row, values in zip(table.iter_rows(named=True), matrix, strict=True):
        counts, edges = np.histogram(values, bins=n_bins)
        assert row["counts"] == counts.tolist()
        np.testing.assert_allclose(row["bin_edges"], edges)
        centred = values - values.mean()
        variance = (centred**2).mean()
        np.testing.assert_allclose([row["mean"], row["std"]], [values.mean(), values.std()], atol=1e-12)
        if np.ptp(values) == 0:
            assert row["skewness"] is None is row["kurtosis"]
        else:
            np.testing.assert_allclose(row["skewness"], (centred**3).mean() / variance**1.5, atol=1e-9)
            np.testing.assert_allclose(row["kurtosis"], (centred**4).mean() / variance**2 - 3, atol=1e-9)


def test_a_range_of_features_has_the_bytes_of_the_whole() -> None:
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(3 * TILE, 8)).astype(np.float32)
    unembed = draw.normal(size=(8, 40)).astype(np.float32)
    whole = influences(effect_tiles(directions, unembed, range(3 * TILE)), 4)
    part = influences(effect_tiles(directions, unembed, range(TILE, 2 * TILE)), 4)
    assert part.equals(whole.filter(pl.col("feature").is_between(TILE, 2 * TILE - 1)))


def test_a_model_without_an_output_layer_is_not_applicable(tmp_path: Path) -> None:
    (tmp_path / "directions.json").write_text('{"tokens": false, "reason": "the model has no output layer"}')
    context = step_context(tmp_path / "out", files={"directions.json": tmp_path / "directions.json"})
    with pytest.raises(NotApplicableError, match="no output layer"):
        next(context_tiles(context))

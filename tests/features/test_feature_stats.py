"""Step `feature_stats` agrees with NumPy in float64 over the dense matrix."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.features import blocks
from precompute.features import feature_stats as step
from precompute.features.blocks import pieces, read_piece
from precompute.features.quantiles import block_quantiles
from precompute.stores.feature_store import FeatureBlock
from precompute.stores.layout import FEATURES_PER_BLOCK
from tests.builders import dense_matrix, random_subject
from tests.stores.store_contract import tree


def with_directions(subject, context):
    directions = np.random.default_rng(0).normal(size=(subject.rows.d_sae, 5)).astype(np.float32)
    np.save(subject.root / "directions.npy", directions)
    return {**subject.files, "directions.npy": subject.root / "directions.npy"}, directions


def computed(subject, out, settings=None, **operations):
    from tests.builders import step_context

    files, directions = with_directions(subject, out)
    context = step_context(out, files, settings, **operations)
    step.run(context)
    return pl.read_parquet(out / "feature_stats.parquet"), directions


def oracle(subject, directions) -> list[dict]:
    dense = dense_matrix(subject.rows)
    examples = np.concatenate([shard.example for shard in subject.rows.shards()])
    table = []
    for feature, acts in enumerate(dense.T):
        active = acts[acts != 0]
        record = {
            "feature": feature,
            "n_rows": len(acts),
            "n_nonzero": len(active),
            "n_examples": len(set(examples[acts != 0])),
            "frac_active": len(active) / len(acts),
            "sparsity": 1 - len(active) / len(acts),
            "min": acts.min(),
            "max": acts.max(),
            "mean": acts.mean(),
            "std": acts.std(),
            "mean_active": active.mean() if len(active) else None,
            "q25": np.quantile(active, 0.25) if len(active) else None,
            "median": np.median(active) if len(active) else None,
            "q75": np.quantile(active, 0.75) if len(active) else None,
            "decoder_norm": np.linalg.norm(directions[feature].astype(np.float64)),
        }
        table.append(record)
    return table


@pytest.mark.parametrize(
    ("backend", "acts_dtype", "seed"), [("npy", "float32", 0), ("zarr", "float32", 1), ("npy", "float16", 2)]
)
def test_the_table_equals_the_oracles(tmp_path, backend, acts_dtype, seed):
    subject = random_subject(tmp_path, backend, 50, seed=seed, examples_per_shard=16, acts_dtype=acts_dtype)
    found, directions = computed(subject, tmp_path / "out")
    expected = oracle(subject, directions)
    assert found.columns == list(expected[0])
    for column in found.columns:
        for ours, theirs in zip(found[column].to_list(), (r[column] for r in expected), strict=True):
            assert (ours is None) == (theirs is None), column
            assert theirs is None or ours == pytest.approx(theirs, rel=1e-12, abs=1e-13), column


def test_a_silent_feature_has_no_invented_quartiles_and_a_dense_one_its_own_minimum(tmp_path):
    table, _ = computed(random_subject(tmp_path), tmp_path / "out")
    silent, dense = table.row(0, named=True), table.row(1, named=True)
    assert (silent["min"], silent["max"], silent["mean"], silent["std"]) == (0, 0, 0, 0)
    assert silent["mean_active"] is silent["q25"] is silent["median"] is silent["q75"] is None
    assert dense["min"] > 0
    assert dense["frac_active"] == 1


def test_workers_and_backends_change_nothing(tmp_path):
    trees = []
    for backend in ("npy", "zarr"):
        subject = random_subject(tmp_path / backend, backend, 30, examples_per_shard=7)
        for workers in (1, 2):
            out = tmp_path / f"{backend}{workers}"
            computed(subject, out, workers=workers)
            trees.append(tree(out))
    assert all(found == trees[0] for found in trees)


def test_only_the_listed_features_are_in_the_table(tmp_path):
    subject = random_subject(tmp_path)
    whole, _ = computed(subject, tmp_path / "whole")
    part, _ = computed(subject, tmp_path / "part", {"features": (5, 9)})
    assert part.equals(whole[5:9])
    nothing, _ = computed(subject, tmp_path / "nothing", {"features": (500, 900)})
    assert nothing.height == 0
    assert nothing.schema == whole.schema


VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(bool)


@settings(max_examples=60)
@given(groups=st.lists(st.lists(VALUES, max_size=9), min_size=1, max_size=5), p=st.floats(0, 1))
def test_quantiles_are_numpys_for_any_values(groups, p):
    acts = np.concatenate([np.array(g, np.float32) for g in groups])
    indptr = np.concatenate([[0], np.cumsum([len(g) for g in groups])]).astype(np.int64)
    found = block_quantiles(FeatureBlock(0, indptr, np.zeros(len(acts), np.int64), acts), [p])
    for ours, group in zip(found[:, 0], groups, strict=True):
        theirs = np.quantile(np.array(group, np.float32).astype(np.float64), p) if group else np.nan
        np.testing.assert_array_equal(ours, theirs)


def test_a_piece_is_cut_to_the_listed_features(tmp_path):
    features = random_subject(tmp_path).features
    block = read_piece(features, range(3, 6))
    assert (block.first, block.n_features) == (3, 3)
    np.testing.assert_array_equal(block.acts[: block.indptr[1]], features.feature(3).acts)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 30_000),
    n_values=st.sampled_from([1, 7, 1000, 2**23]),
    spread=st.sampled_from([0.01, 1.0, 20.0]),
    ps=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    seed=st.integers(0, 9),
)
def test_quantiles_are_numpys_for_many_values_and_ties(n, n_values, spread, ps, seed):
    generator = np.random.default_rng(seed)
    values = np.exp(spread * np.round(generator.normal(size=n) * n_values) / n_values).astype(np.float32)
    acts = values * generator.choice(np.array([1, -1], np.float32), n)
    block = FeatureBlock(0, np.array([0, 0, n]), np.zeros(n, np.int64), acts)
    found = block_quantiles(block, ps)
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], np.quantile(acts.astype(np.float64), ps))


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5000),
    most=st.integers(1, 40),
    listed=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
)
def test_pieces_hold_each_listed_feature_once_and_few_non_zeros(lengths, most, listed):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    features = range(min(listed[0], len(lengths)), min(listed[1], len(lengths)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "NONZEROS_AT_ONCE", most)
        found = pieces(indptr, features)
    assert [feature for piece in found for feature in piece] == list(features)
    for piece in found:
        assert piece.start // FEATURES_PER_BLOCK == (piece.stop - 1) // FEATURES_PER_BLOCK
        assert len(piece) == 1 or indptr[piece.stop] - indptr[piece.start] <= most


@pytest.mark.parametrize("backend", ["npy", "zarr"])
def test_small_pieces_change_no_byte(tmp_path, monkeypatch, backend):
    subject = random_subject(tmp_path, backend)
    computed(subject, tmp_path / "whole")
    monkeypatch.setattr(blocks, "NONZEROS_AT_ONCE", 20)
    computed(subject, tmp_path / "pieces")
    assert tree(tmp_path / "pieces") == tree(tmp_path / "whole")

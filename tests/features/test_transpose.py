"""Step `transpose`: the same activations by feature, the same bytes whatever the workers."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.command_line import run_command
from precompute.errors import CorruptArtifactError
from precompute.executors.local import Threads
from precompute.features import blocks
from precompute.features import transpose as step
from precompute.progress import Silent
from precompute.stores import feature_store, layout
from precompute.stores.arrays import BACKENDS
from precompute.stores.feature_store import FeatureStore, FeatureStoreWriter
from tests.builders import dense_matrix, naive_feature_store, random_row_store, step_context
from tests.stores.store_contract import assert_features_equal, tree


@pytest.fixture
def small_blocks():
    """Blocks of 7 features, so that a small store has several."""
    with small_blocks_of(7):
        yield


@contextmanager
def small_blocks_of(n):
    with ExitStack() as stack:
        for module in (feature_store, layout, blocks):
            stack.enter_context(patch.object(module, "FEATURES_PER_BLOCK", n))
        yield


@settings(max_examples=24, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_examples=st.integers(0, 30),
    per_shard=st.integers(1, 12),
    workers=st.sampled_from([1, 2]),
    backend=st.sampled_from(["npy", "zarr"]),
    read_from=st.sampled_from(["npy", "zarr"]),
    acts_dtype=st.sampled_from(["float32", "float16"]),
    bytes_at_once=st.sampled_from([1, 100, 600, 2**30]),
    most_passes=st.sampled_from([0, 16]),
)
def test_rows_of_each_feature_equal_those_of_row_major_order(
    tmp_path_factory,
    seed,
    n_examples,
    per_shard,
    workers,
    backend,
    read_from,
    acts_dtype,
    bytes_at_once,
    most_passes,
):
    root = tmp_path_factory.mktemp("law")
    rows = random_row_store(
        root / "rows",
        read_from,
        n_examples,
        20,
        seed=seed,
        examples_per_shard=per_shard,
        acts_dtype=acts_dtype,
    )
    with small_blocks_of(7), patch.object(step, "MOST_PASSES", dict.fromkeys(BACKENDS, most_passes)):
        threads = Threads(workers)
        step.transpose(rows, root / "features", backend, threads, Silent(), bytes_at_once=bytes_at_once)
        found, dense = FeatureStore(root / "features"), dense_matrix(rows)
        for feature in range(rows.d_sae):
            entry = found.feature(feature)
            np.testing.assert_array_equal(entry.rows, np.flatnonzero(dense[:, feature]))
            np.testing.assert_array_equal(entry.acts, dense[entry.rows, feature])
        naive = naive_feature_store(rows, root / "naive", backend)
        assert tree(found.root) == tree(naive.root)


def test_an_interrupted_run_is_taken_up_to_the_same_bytes(tmp_path, small_blocks, monkeypatch):
    rows = random_row_store(tmp_path / "rows", "npy", 30, examples_per_shard=8)
    context = step_context(tmp_path / "whole", {"activations": rows.root})
    step.run(context)
    write, written = FeatureStoreWriter.write_block, []

    def dying(self, number, block):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, block)

    monkeypatch.setattr(FeatureStoreWriter, "write_block", dying)
    again = step_context(tmp_path / "again", {"activations": rows.root})
    with pytest.raises(KeyboardInterrupt):
        step.run(again)
    monkeypatch.setattr(FeatureStoreWriter, "write_block", write)
    with patch.object(FeatureStoreWriter, "write_block", autospec=True, side_effect=write) as resumed:
        step.run(again)
    assert written == [0, 1]
    assert [call.args[1] for call in resumed.call_args_list] == [2, 3]
    assert tree(again.out) == tree(context.out)


@pytest.mark.parametrize("most_passes", [0, 16])
def test_shards_that_belie_their_statistics_are_refused(tmp_path, monkeypatch, most_passes):
    rows = random_row_store(tmp_path / "rows", "npy", 4)
    path = rows.root / "parts" / "00000" / "features.npy"
    features = np.load(path)
    features[features == features[0]] = features[0] - 1 if features[0] else 1
    np.save(path, features)
    monkeypatch.setattr(step, "MOST_PASSES", dict.fromkeys(BACKENDS, most_passes))
    with pytest.raises(CorruptArtifactError, match="other features than their statistics say"):
        step.transpose(rows, tmp_path / "out", "npy", Threads(1), Silent())


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    at_once=st.integers(1, 100),
    done=st.sets(st.integers(0, 8)),
)
def test_blocks_are_grouped_as_far_as_memory_allows(counts, at_once, done):
    with small_blocks_of(7):
        wanted = [number for number in range(feature_store.n_blocks(len(counts))) if number not in done]
        groups = step.together(wanted, np.array(counts), at_once)
    assert [number for group in groups for number in group] == wanted
    for group in groups:
        assert list(group) == list(range(group[0], group[-1] + 1))
        assert len(group) == 1 or sum(counts[7 * group[0] : 7 * (group[-1] + 1)]) <= at_once


def test_an_oddly_numbered_feature_is_refused(tmp_path):
    rows = random_row_store(tmp_path / "rows", "npy", 4)
    path = rows.root / "parts" / "00000" / "features.npy"
    features = np.load(path)
    features[0] = 999
    np.save(path, features)
    with pytest.raises(CorruptArtifactError, match="out of range"):
        step.transpose(rows, tmp_path / "out", "npy", Threads(1), Silent())


def test_the_command_takes_the_sources_backend_unless_told(tmp_path, capsys):
    rows = random_row_store(tmp_path / "rows", "zarr", 12)
    argv = ["--source_dir", str(rows.root), "--target-dir"]
    assert run_command(step.main, [*argv, str(tmp_path / "a")]) == 0
    assert run_command(step.main, [*argv, str(tmp_path / "b"), "--backend", "npy", "--workers", "2"]) == 0
    assert FeatureStore(tmp_path / "a").info.backend == "zarr"
    assert_features_equal(FeatureStore(tmp_path / "a"), FeatureStore(tmp_path / "b"))
    assert run_command(step.main, [*argv, str(tmp_path / "b")]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_large_block_is_as_many_passes_as_it_has_parts(small_blocks):
    with small_blocks_of(4):
        counts = np.array([5, 5, 5, 5, 1, 1, 1, 1, 1])
        groups = step.together([0, 1, 2], counts, 10)
        assert groups == [(0,), (1, 2)]
        assert step.n_passes(groups, counts, 10) == 3

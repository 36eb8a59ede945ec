"""Step `transpose`: the same activations by feature, the same bytes whatever the workers."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.command_line import run_command
from precompute.errors import CorruptArtifactError
from precompute.features import transpose as step
from precompute.progress import Silent
from precompute.stores import feature_store, layout
from precompute.stores.feature_store import FeatureStore, FeatureStoreWriter
from tests.builders import dense_matrix, naive_feature_store, random_row_store, step_context
from tests.stores.store_contract import assert_features_equal, tree


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 7 features, so that a small store has several."""
    monkeypatch.setattr(feature_store, "FEATURES_PER_BLOCK", 7)
    monkeypatch.setattr(layout, "FEATURES_PER_BLOCK", 7)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    n_examples=st.integers(0, 30),
    per_shard=st.integers(1, 12),
    workers=st.sampled_from([1, 2]),
    backend=st.sampled_from(["npy", "zarr"]),
    acts_dtype=st.sampled_from(["float32", "float16"]),
)
def test_rows_of_each_feature_equal_those_of_row_major_order(
    tmp_path_factory, seed, n_examples, per_shard, workers, backend, acts_dtype
):
    root = tmp_path_factory.mktemp("law")
    rows = random_row_store(
        root / "rows", "npy", n_examples, 20, seed=seed, examples_per_shard=per_shard, acts_dtype=acts_dtype
    )
    with patch.object(feature_store, "FEATURES_PER_BLOCK", 7):
        step.transpose(rows, root / "features", backend, workers, Silent())
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


def test_an_oddly_numbered_feature_is_refused(tmp_path):
    rows = random_row_store(tmp_path / "rows", "npy", 4)
    path = rows.root / "parts" / "00000" / "features.npy"
    features = np.load(path)
    features[0] = 999
    np.save(path, features)
    with pytest.raises(CorruptArtifactError, match="out of range"):
        step.transpose(rows, tmp_path / "out", "npy", 1, Silent())


def test_the_command_takes_the_sources_backend_unless_told(tmp_path, capsys):
    rows = random_row_store(tmp_path / "rows", "zarr", 12)
    argv = ["--source_dir", str(rows.root), "--target-dir"]
    assert run_command(step.main, [*argv, str(tmp_path / "a")]) == 0
    assert run_command(step.main, [*argv, str(tmp_path / "b"), "--backend", "npy", "--workers", "2"]) == 0
    assert FeatureStore(tmp_path / "a").info.backend == "zarr"
    assert_features_equal(FeatureStore(tmp_path / "a"), FeatureStore(tmp_path / "b"))
    assert run_command(step.main, [*argv, str(tmp_path / "b")]) == 2
    assert "exists" in capsys.readouterr().err

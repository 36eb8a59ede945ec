"""What every backend of an activation store keeps; each backend's test class inherits this suite."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from precompute.errors import CorruptArtifactError, StoreError
from precompute.progress import Silent
from precompute.stores.arrays import BACKENDS
from precompute.stores.convert import convert
from precompute.stores.feature_store import FeatureStore
from precompute.stores.row_shard import ARRAYS
from precompute.stores.row_store import RowStore, RowStoreWriter
from tests.builders import dense_matrix, naive_feature_store, random_corpus, random_row_store

ELEMENTS = st.sampled_from(["uint16", "uint32", "int32", "int64", "float16", "float32", "float64"])
LAW = settings(max_examples=15, suppress_health_check=list(HealthCheck))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a directory with its content."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def assert_rows_equal(left: RowStore, right: RowStore) -> None:
    """The same content, whatever the backend."""
    assert left.info.model_copy(update={"backend": ""}) == right.info.model_copy(update={"backend": ""})
    for number in range(left.n_shards):
        for name in ARRAYS:
            ours, theirs = left.values(number, name), right.values(number, name)
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def assert_features_equal(left: FeatureStore, right: FeatureStore) -> None:
    assert left.info.model_copy(update={"backend": ""}) == right.info.model_copy(update={"backend": ""})
    for ours, theirs in zip(left.blocks(), right.blocks(), strict=True):
        for name in ("indptr", "rows", "acts"):
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


class StoreContract:
    """Inherit, and name the backend."""

    backend: str

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls, tmp_path_factory):
        path = tmp_path_factory.mktemp("rows") / "store"
        return random_row_store(path, cls.backend, 37, seed=1, examples_per_shard=16)

    @pytest.fixture(scope="class")
    @classmethod
    def features(cls, rows, tmp_path_factory):
        return naive_feature_store(rows, tmp_path_factory.mktemp("features") / "store", cls.backend)

    # -- arrays

    @LAW
    @given(data=st.data())
    def test_an_array_comes_back_as_it_was_and_so_does_each_slice(self, data, tmp_path_factory):
        shape = npst.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40)
        values = data.draw(npst.arrays(data.draw(ELEMENTS), shape))
        directory = tmp_path_factory.mktemp("arrays")
        BACKENDS[self.backend].write(directory, "x", values)
        reader = BACKENDS[self.backend].open(directory, "x")
        start, stop = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
        assert (reader.shape, reader.dtype) == (values.shape, values.dtype)
        np.testing.assert_array_equal(np.asarray(reader[:]), values)
        np.testing.assert_array_equal(np.asarray(reader[start:stop]), values[start:stop])

    def test_an_array_of_many_chunks_comes_back(self, tmp_path):
        values = np.arange(50_001, dtype=np.float32)
        BACKENDS[self.backend].write(tmp_path, "x", values)
        reader = BACKENDS[self.backend].open(tmp_path, "x")
        np.testing.assert_array_equal(np.asarray(reader[16_380:32_800]), values[16_380:32_800])

    def test_an_absent_array_is_named(self, tmp_path):
        with pytest.raises(StoreError, match=r"no array at .*nothing"):
            BACKENDS[self.backend].open(tmp_path, "nothing")

    def test_writing_twice_gives_the_same_bytes(self, rows, tmp_path):
        again = random_row_store(tmp_path / "again", self.backend, 37, seed=1, examples_per_shard=16)
        assert tree(again.root) == tree(rows.root)

    def test_a_truncated_array_is_an_error_not_numbers(self, tmp_path):
        BACKENDS[self.backend].write(tmp_path, "x", np.arange(5000.0))
        largest = max((p for p in tmp_path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-100])
        with pytest.raises(CorruptArtifactError, match="damaged"):
            np.asarray(BACKENDS[self.backend].open(tmp_path, "x")[:])

    # -- row-major

    def test_rows_and_examples_agree_with_the_windows(self, rows):
        corpus = random_corpus(37, seed=1)
        for example, window in enumerate(corpus.windows):
            assert rows.example_tokens(example).tolist() == window.token_ids
            owned = rows.example_rows(example)
            assert rows.example_positions(example).tolist() == list(range(1, len(window.token_ids)))
            located = rows.locate(np.array(owned, dtype=np.int64))
            assert set(located.example) <= {example}
            assert located.position.tolist() == list(range(1, len(window.token_ids)))
        owners = np.concatenate([rows.values(n, "example") for n in range(rows.n_shards)])
        np.testing.assert_array_equal(rows.row_examples(), owners)
        np.testing.assert_array_equal(rows.locate(np.arange(rows.n_rows)[::-1]).example, owners[::-1])

    def test_the_shards_statistics_are_those_of_their_values(self, rows):
        for shard in rows.shards():
            for feature in range(rows.d_sae):
                values = shard.acts[shard.features == feature].astype(np.float64)
                assert shard.stat_count[feature] == len(values)
                assert shard.stat_min[feature] == values.min(initial=np.inf)
                assert shard.stat_max[feature] == values.max(initial=-np.inf)
                np.testing.assert_allclose(shard.stat_sum[feature], values.sum())
                np.testing.assert_allclose(shard.stat_sum_squares[feature], (values**2).sum())

    def test_a_feature_is_spread_over_an_examples_tokens(self, rows, features):
        dense = dense_matrix(rows)
        for example in (0, 1, 16, 36):
            for feature in (0, 1, 5):
                acts = rows.example_feature_acts(example, feature)
                np.testing.assert_array_equal(acts[1:], dense[rows.example_rows(example), feature])
                assert np.isnan(acts[0])
                np.testing.assert_array_equal(acts, rows.token_acts(example, features.feature(feature)))

    @pytest.mark.parametrize("ask", [lambda s: s.row(s.n_rows), lambda s: s.example_tokens(-1)])
    def test_what_a_row_store_does_not_hold_names_the_valid_range(self, rows, ask):
        with pytest.raises(StoreError, match=r"expected an? (row|example) from 0 to \d+"):
            ask(rows)

    # -- feature-major

    def test_each_feature_has_its_rows_and_activations(self, rows, features):
        dense = dense_matrix(rows)
        for feature in range(rows.d_sae):
            found = features.feature(feature)
            np.testing.assert_array_equal(found.rows, np.flatnonzero(dense[:, feature]))
            np.testing.assert_array_equal(found.acts, dense[found.rows, feature].astype(np.float32))

    def test_a_silent_feature_is_empty_and_an_absent_one_an_error(self, features):
        assert len(features.feature(0).rows) == len(features.feature(0).acts) == 0
        for feature in (-1, features.d_sae):
            with pytest.raises(StoreError, match=r"expected a feature from 0 to 23"):
                features.feature(feature)

    # -- headers

    def test_the_wrong_layout_and_no_store_are_said(self, rows, features, tmp_path):
        with pytest.raises(StoreError, match="a store in rows order"):
            FeatureStore(rows.root)
        with pytest.raises(StoreError, match="a store in features order"):
            RowStore(features.root)
        with pytest.raises(StoreError, match=r"no store\.json"):
            RowStore(tmp_path)
        (tmp_path / "store.json").write_text("{")
        with pytest.raises(StoreError, match="cannot be read"):
            RowStore(tmp_path)

    # -- writing

    def test_a_killed_writer_leaves_no_shard_that_looks_complete(self, rows, tmp_path, monkeypatch):
        writer = RowStoreWriter(tmp_path / "s", self.backend, rows.d_sae, rows.info.d_in)
        write, written = writer.backend.write, []

        def die_at_the_fifth(directory, name, values):
            written.append(name)
            if len(written) == 5:
                raise KeyboardInterrupt
            write(directory, name, values)

        monkeypatch.setattr(writer.backend, "write", die_at_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            writer.write_shard(0, rows.load(0))
        assert not writer.has_shard(0)
        monkeypatch.undo()
        for number in range(rows.n_shards):
            writer.write_shard(number, rows.load(number))
        writer.finish(rows.n_shards)
        assert tree(tmp_path / "s") == tree(rows.root)

    def test_a_store_is_not_complete_without_all_its_shards(self, rows, tmp_path):
        writer = RowStoreWriter(tmp_path / "s", self.backend, rows.d_sae, rows.info.d_in)
        writer.write_shard(0, rows.load(0))
        with pytest.raises(StoreError, match="no array at"):
            writer.finish(2)
        with pytest.raises(StoreError, match=r"no store\.json"):
            RowStore(tmp_path / "s")

    def test_finishing_twice_changes_nothing(self, rows, tmp_path):
        shutil.copytree(rows.root, tmp_path / "s")
        RowStoreWriter(tmp_path / "s", self.backend, rows.d_sae, rows.info.d_in).finish(rows.n_shards)
        assert tree(tmp_path / "s") == tree(rows.root)

    def test_arrays_that_do_not_fit_together_are_refused(self, rows, tmp_path):
        from dataclasses import replace

        writer = RowStoreWriter(tmp_path / "s", self.backend, rows.d_sae, rows.info.d_in)
        shard = rows.load(0)
        with pytest.raises(ValueError, match="do not fit"):
            writer.write_shard(0, replace(shard, position=shard.position[1:]))
        with pytest.raises(ValueError, match="is zero"):
            writer.write_shard(0, replace(shard, acts=shard.acts * (shard.features != 1)))
        assert not writer.has_shard(0)

    # -- conversion

    @pytest.mark.parametrize("workers", [1, 2])
    def test_conversion_to_the_other_backend_and_back_changes_nothing(
        self, rows, features, tmp_path, workers
    ):
        (other,) = set(BACKENDS) - {self.backend}
        for store, compare in ((rows, assert_rows_equal), (features, assert_features_equal)):
            there, back = tmp_path / f"{store.info.layout}-there", tmp_path / f"{store.info.layout}-back"
            convert(store.root, there, other, workers, Silent())
            convert(there, back, self.backend, workers, Silent())
            compare(store, type(store)(there))
            assert tree(back) == tree(store.root)

    def test_conversion_refuses_a_target_that_exists_and_leaves_it_alone(self, rows, tmp_path):
        (tmp_path / "kept").write_text("kept")
        with pytest.raises(StoreError, match="exists"):
            convert(rows.root, tmp_path, "npy", 1, Silent())
        with pytest.raises(StoreError, match="one of npy, zarr"):
            convert(rows.root, tmp_path / "new", "hdf5", 1, Silent())
        assert [p.name for p in tmp_path.iterdir()] == ["kept"]

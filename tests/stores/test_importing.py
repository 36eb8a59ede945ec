"""Stores of other programs: the same non-zeros, whatever the layout, and nothing in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.errors import NotApplicableError, StoreError, UsageError
from precompute.features.histograms import main as histograms
from precompute.features.row_tokens import read_row_tokens
from precompute.features.transpose import main as transpose
from precompute.progress import Silent
from precompute.stores.__main__ import main
from precompute.stores.feature_store import FeatureStore
from precompute.stores.importing import import_store
from precompute.stores.layout import EXAMPLES_PER_SHARD, METADATA_FILE
from precompute.stores.neuron_acts import NeuronActs
from precompute.stores.row_store import RowStore
from tests.stores.foreign_stores import D_SAE, dense, save_batches, save_neuron_acts, token_lists


def imported(source: Path, target: Path, backend: str = "npy", metadata: Path | None = None) -> RowStore:
    import_store(source, target, backend, metadata, None, Silent())
    return RowStore(target)


def as_dense(store: RowStore) -> np.ndarray:
    found = np.zeros((store.n_rows, store.d_sae), dtype=np.float32)
    for row in range(store.n_rows):
        features, acts = store.row(row)
        assert (np.diff(features.astype(int)) > 0).all()
        found[row, features] = acts
    return found


@pytest.mark.parametrize("backend", ["npy", "zarr"])
@pytest.mark.parametrize("n_rows", [1, EXAMPLES_PER_SHARD, EXAMPLES_PER_SHARD + 1, 700])
def test_dense_batches(tmp_path, backend, n_rows):
    acts = dense(n_rows)
    bounds = sorted({0, n_rows // 3, n_rows // 2, n_rows})
    store = imported(save_batches(tmp_path / "source", acts, bounds), tmp_path / "store", backend)
    np.testing.assert_array_equal(as_dense(store), acts)
    assert [store.example_tokens(i).tolist() for i in range(n_rows)] == token_lists(n_rows)
    means = np.concatenate([shard.example_means[:] for shard in store.shards()])
    np.testing.assert_array_equal(
        means, zarr.open_array(str(tmp_path / "source/embeddings/sae_input.zarr"))[:]
    )
    metadata = pl.read_parquet(tmp_path / "store" / METADATA_FILE)
    assert metadata["weapon_name"].to_list() == [f"weapon {i % 7}" for i in range(n_rows)]


@settings(max_examples=15)
@given(seed=st.integers(0, 99), n_rows=st.integers(1, 600), pieces=st.sampled_from([1, 50, 1 << 24]))
def test_neuron_acts_in_pieces_of_any_size(tmp_path_factory, seed, n_rows, pieces):
    root = tmp_path_factory.mktemp("acts")
    acts = dense(n_rows, seed)
    acts[-1, 0] = 1  # The last example is known by an activation alone.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("precompute.stores.neuron_acts.NONZEROS_PER_PIECE", pieces)
        store = imported(save_neuron_acts(root / "source", acts), root / "store")
    np.testing.assert_array_equal(as_dense(store), acts)


@pytest.mark.parametrize("backend", ["npy", "zarr"])
def test_both_layouts_of_the_same_activations_agree(tmp_path, backend):
    acts = dense(300)
    batches = imported(save_batches(tmp_path / "a", acts, [0, 300]), tmp_path / "one", backend)
    pl.DataFrame({"tokens": token_lists(300), "weapon_name": "w"}).write_ndjson(tmp_path / "m.jsonl")
    folders = imported(
        save_neuron_acts(tmp_path / "b", acts), tmp_path / "two", backend, tmp_path / "m.jsonl"
    )
    np.testing.assert_array_equal(as_dense(batches), as_dense(folders))
    assert [folders.example_tokens(i).tolist() for i in range(300)] == token_lists(300)


def test_half_precision_stays(tmp_path):
    store = imported(save_batches(tmp_path / "a", dense(40, dtype="float16"), [0, 40]), tmp_path / "store")
    assert store.info.acts_dtype == "float16"


def test_steps_on_an_imported_store(tmp_path):
    acts = dense(520)
    assert main(["import", str(save_neuron_acts(tmp_path / "a", acts)), str(tmp_path / "rows")]) == 0
    assert transpose(["--source-dir", str(tmp_path / "rows"), "--target-dir", str(tmp_path / "columns")]) == 0
    columns = FeatureStore(tmp_path / "columns")
    for feature in range(D_SAE):
        found = columns.feature(feature)
        assert found.rows.tolist() == np.flatnonzero(acts[:, feature]).tolist()
    target = tmp_path / "histograms.parquet"
    assert histograms(["--data-dir", str(tmp_path / "columns"), "--output-path", str(target)]) == 0
    counted = pl.read_parquet(target)
    assert [sum(counts) for counts in counted["counts"]] == (acts != 0).sum(axis=0).tolist()
    with pytest.raises(NotApplicableError, match="whole examples"):
        read_row_tokens(RowStore(tmp_path / "rows")).row_token_ids()


def test_a_converted_store_keeps_its_metadata(tmp_path):
    imported(save_batches(tmp_path / "a", dense(20), [0, 20]), tmp_path / "store")
    assert main(["convert", str(tmp_path / "store"), str(tmp_path / "z"), "--backend", "zarr"]) == 0
    assert (tmp_path / "z" / METADATA_FILE).read_bytes() == (tmp_path / "store" / METADATA_FILE).read_bytes()


def unsorted(root: Path) -> None:
    np.save(root / "neuron_acts/neuron_0003/idxs.npy", np.array([4, 2]))
    np.save(root / "neuron_acts/neuron_0003/acts.npy", np.ones(2, np.float32))


def unequal(root: Path) -> None:
    np.save(root / "neuron_acts/neuron_0003/acts.npy", np.ones(2, np.float32))


def pickled(root: Path) -> None:
    np.save(root / "neuron_acts/neuron_0003/acts.npy", np.array([{}], dtype=object))


def infinite(root: Path) -> None:
    path = root / "neuron_acts/neuron_0002/acts.npy"
    np.save(path, np.full_like(np.load(path), np.inf))


DAMAGE = {unsorted: "do not ascend", unequal: "as many", pickled: "cannot be read", infinite: "not finite"}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_what_does_not_fit_together_leaves_nothing(tmp_path, damage):
    source = save_neuron_acts(tmp_path / "source", dense(30))
    damage(source)
    with pytest.raises(StoreError, match=DAMAGE[damage]) as error:
        imported(source, tmp_path / "store")
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_metadata_of_another_store(tmp_path):
    pl.DataFrame({"tokens": [[1]] * 7}).write_parquet(tmp_path / "m.parquet")
    with pytest.raises(StoreError, match="7 rows"):
        imported(save_neuron_acts(tmp_path / "a", dense(30)), tmp_path / "s", metadata=tmp_path / "m.parquet")
    with pytest.raises(StoreError, match="metadata of 7 rows"):
        imported(
            save_batches(tmp_path / "b", dense(30), [0, 30]), tmp_path / "s", metadata=tmp_path / "m.parquet"
        )


def test_tokens_that_are_no_ids(tmp_path):
    pl.DataFrame({"tokens": ["a"] * 30}).write_parquet(tmp_path / "m.parquet")
    with pytest.raises(StoreError, match="set --tokens-column"):
        imported(save_neuron_acts(tmp_path / "a", dense(30)), tmp_path / "s", metadata=tmp_path / "m.parquet")


def test_a_directory_of_neither_layout(tmp_path):
    with pytest.raises(StoreError, match="no store to import"):
        imported(tmp_path, tmp_path / "s")
    with pytest.raises(StoreError, match="no store to import"):
        imported(tmp_path / "nowhere", tmp_path / "s")


def test_a_folder_that_is_absent_is_a_silent_feature(tmp_path):
    source = save_neuron_acts(tmp_path / "a", dense(30))
    for path in (source / "neuron_acts" / "neuron_0004").iterdir():
        path.unlink()
    (source / "neuron_acts" / "neuron_0004").rmdir()
    assert NeuronActs(source, None).d_sae == D_SAE
    assert not as_dense(imported(source, tmp_path / "store"))[:, 4].any()


def test_batches_come_in_the_order_of_their_numbers(tmp_path):
    acts = dense(24)
    source = save_batches(tmp_path / "a", acts, list(range(0, 26, 2)))
    for kind in ("activations/batch_{}.zarr", "metadata/batch_{}.parquet"):
        for number in range(12):
            (source / kind.format(f"{number:04d}")).rename(source / kind.format(number))
    store = imported(source, tmp_path / "store")
    np.testing.assert_array_equal(as_dense(store), acts)
    assert [store.example_tokens(i).tolist() for i in range(24)] == token_lists(24)


@pytest.mark.parametrize("token", [None, -1, 3_000_000_000])
def test_tokens_that_cannot_be_ids(tmp_path, token):
    pl.DataFrame({"tokens": [[1, token]] * 30}).write_parquet(tmp_path / "m.parquet")
    with pytest.raises(StoreError, match=f"a token {token} in the column 'tokens'"):
        imported(save_neuron_acts(tmp_path / "a", dense(30)), tmp_path / "s", metadata=tmp_path / "m.parquet")


def test_damaged_batches_are_one_line(tmp_path):
    source = save_batches(tmp_path / "a", dense(30), [0, 30])
    chunk = next(path for path in (source / "activations").rglob("*") if path.is_file() and "c" in path.parts)
    chunk.write_bytes(chunk.read_bytes()[:10])
    with pytest.raises(StoreError, match="chunks that are whole"):
        imported(source, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_metadata_of_other_columns_are_one_line(tmp_path):
    source = save_batches(tmp_path / "a", dense(30), [0, 10, 30])
    pl.DataFrame({"other": range(20)}).write_parquet(source / "metadata" / "batch_0001.parquet")
    with pytest.raises(StoreError, match="the same columns in all"):
        imported(source, tmp_path / "s")


def test_a_url_is_no_target(capsys):
    with pytest.raises(UsageError, match="import to a directory"):
        main(["import", "somewhere", "s3://bucket/store"])


def test_a_value_that_the_store_cannot_tell_from_zero_is_left_out(tmp_path):
    acts = dense(30, dtype="float64")
    acts[3, 2] = 1e-50
    store = imported(save_neuron_acts(tmp_path / "a", acts), tmp_path / "store")
    np.testing.assert_array_equal(as_dense(store), acts.astype(np.float32))

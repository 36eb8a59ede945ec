"""Stores on object storage: the content of those on disk, only the bytes asked for, no half a store."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from precompute import open_artifacts
from precompute.command_line import run_command
from precompute.errors import CorruptArtifactError, StoreError
from precompute.executors.local import Threads
from precompute.features.histograms import count_row_major
from precompute.features.transpose import transpose
from precompute.progress import Silent
from precompute.stores.__main__ import main
from precompute.stores.arrays import BACKENDS
from precompute.stores.convert import convert
from precompute.stores.feature_store import FeatureStore
from precompute.stores.places import Remote, place
from precompute.stores.row_store import RowStore, RowStoreWriter
from tests.builders import naive_feature_store, random_row_store
from tests.stores.object_storage import served
from tests.stores.store_contract import assert_features_equal, assert_rows_equal, tree
from tests.tiny import TinyFiles


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture
def free(bucket: str) -> Remote:
    """A URL below which there is nothing."""
    return Remote(f"{bucket}/{uuid4().hex}")


both = pytest.mark.parametrize("backend", ["npy", "zarr"])


@both
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_array_comes_back_as_it_was_and_so_does_each_slice(backend: str, bucket: str, data) -> None:
    shape = npst.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40)
    values = data.draw(npst.arrays(data.draw(st.sampled_from(["uint16", "int64", "float32"])), shape))
    where = Remote(f"{bucket}/{uuid4().hex}")
    BACKENDS[backend].write(where, "x", values)
    reader = BACKENDS[backend].open(where, "x")
    start, stop = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    assert (reader.shape, reader.dtype) == (values.shape, values.dtype)
    np.testing.assert_array_equal(np.asarray(reader[:]), values)
    np.testing.assert_array_equal(np.asarray(reader[start:stop]), values[start:stop])


@pytest.mark.full
@pytest.mark.parametrize(("backend", "other"), [("npy", "zarr"), ("zarr", "npy")])
def test_a_store_there_and_back_is_the_same(backend: str, other: str, free: Remote, tmp_path: Path) -> None:
    rows = random_row_store(tmp_path / "rows", backend, 37, seed=1, examples_per_shard=16)
    convert(rows.root, free, other, 2, Silent())
    assert_rows_equal(rows, RowStore(free))
    convert(free, tmp_path / "back", backend, 2, Silent())
    assert tree(tmp_path / "back") == tree(rows.root)


@both
def test_features_and_examples_are_read_from_a_url(backend: str, free: Remote, tmp_path: Path) -> None:
    rows = random_row_store(tmp_path / "rows", "npy", 37, seed=1, examples_per_shard=16)
    features = naive_feature_store(rows, tmp_path / "features", "npy")
    convert(features.root, free / "features", backend, 2, Silent())
    convert(rows.root, free / "rows", backend, 2, Silent())
    there, examples = FeatureStore(free / "features"), RowStore(free / "rows")
    assert_features_equal(features, there)
    for feature in range(features.d_sae):
        found, expected = there.feature(feature), features.feature(feature)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.acts, expected.acts)
        np.testing.assert_array_equal(
            examples.token_acts(3, found), rows.token_acts(3, expected), err_msg=str(feature)
        )
    with pytest.raises(StoreError, match="a feature from 0 to 23"):
        there.feature(24)


@pytest.mark.full
def test_steps_read_a_store_at_a_url(free: Remote, tmp_path: Path) -> None:
    rows = random_row_store(tmp_path / "rows", "npy", 37, seed=1, examples_per_shard=16)
    convert(rows.root, free, "zarr", 2, Silent())
    there = RowStore(free)
    transpose(there, tmp_path / "there", "npy", Threads(2), Silent())
    transpose(rows, tmp_path / "here", "npy", Threads(2), Silent())
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    counted = [count_row_major(store, 10, Threads(2), Silent()).counts for store in (there, rows)]
    np.testing.assert_array_equal(*counted)


def test_one_feature_takes_its_own_bytes_alone(
    free: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_row_store(tmp_path / "rows", "npy", 400, d_sae=60, seed=1)
    features = naive_feature_store(rows, tmp_path / "features", "npy")
    convert(features.root, free, "npy", 2, Silent())
    there = FeatureStore(free)
    there.feature(7)  # Headers are read.
    read, whole = [], Remote.read_bytes

    def noted(self: Remote, start: int | None = None, end: int | None = None) -> bytes:
        found = whole(self, start, end)
        read.append(len(found))
        return found

    monkeypatch.setattr(Remote, "read_bytes", noted)
    found = there.feature(8)
    assert sum(read) == found.rows.nbytes + found.acts.nbytes > 0


@pytest.mark.full
@both
def test_a_failure_leaves_nothing_and_what_is_there_is_refused(
    backend: str, free: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_row_store(tmp_path / "rows", "npy", 37, examples_per_shard=8)
    write, written = RowStoreWriter.write_shard, []

    def failing(self: RowStoreWriter, number: int, shard: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, shard)

    monkeypatch.setattr(RowStoreWriter, "write_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        convert(rows.root, free, backend, 1, Silent())
    assert not free.exists()
    monkeypatch.undo()
    convert(rows.root, free, backend, 2, Silent())
    with pytest.raises(StoreError, match="exists; expected a URL below which there is nothing"):
        convert(rows.root, free, backend, 2, Silent())


@both
def test_damage_is_an_error_not_numbers(backend: str, free: Remote) -> None:
    BACKENDS[backend].write(free, "x", np.arange(5000.0))
    file = free / ("x.npy" if backend == "npy" else "x.zarr/c/0")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptArtifactError, match="damaged"):
        np.asarray(BACKENDS[backend].open(free, "x")[:])
    with pytest.raises((StoreError, CorruptArtifactError), match="nothing"):
        BACKENDS[backend].open(free, "nothing")


def test_the_command_copies_to_and_from_a_url(
    free: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = random_row_store(tmp_path / "rows", "zarr", 12)
    assert run_command(main, ["convert", str(rows.root), f"{free}/"]) == 0
    assert f"{free}: " in capsys.readouterr().out
    assert run_command(main, ["convert", str(free), str(tmp_path / "back")]) == 0
    assert tree(tmp_path / "back") == tree(rows.root)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("s3://bucket/nowhere", "no store.json in s3://bucket/nowhere"),
        ("s3://nobucket/store", "no store.json in s3://nobucket/store"),
        ("nothing://bucket/store", "expected a URL that fsspec knows, such as s3://bucket/store"),
    ],
)
def test_what_is_not_there_is_one_line(
    bucket: str, source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, ["convert", source, str(tmp_path / "b")]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line(bucket: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "precompute.stores", "copy", "s3://bucket/store", str(tmp_path / "b")],
        env={**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "expected storage that can be reached; check its name" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_model_types_directory_is_copied_and_read_there(
    computed: TinyFiles, free: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = computed.root / "data" / "precomputed_mine"
    assert run_command(main, ["copy", str(directory), str(free)]) == 0
    assert run_command(main, ["copy", str(free), str(tmp_path / "back")]) == 0
    back = tree(tmp_path / "back")
    assert back == {
        name: content
        for name, content in named_files(directory).items()
        if name.split("/")[0] not in ("artifacts", "versions")
    }
    mine = open_artifacts("mine", computed.root / "data", computed.config)
    endpoint = {"aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "aws_allow_http": "true"}
    table = pl.read_parquet(f"{free}/feature_stats.parquet", storage_options=endpoint)
    assert table.equals(mine.table("feature_stats"))
    with fsspec.open(f"{free}/feature_stats.parquet") as file:
        assert pl.read_parquet(file).equals(table)
    found, expected = FeatureStore(free / "feature_major").feature(5), mine.feature(5)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.acts, expected.acts)


def named_files(directory: Path) -> dict[str, bytes]:
    """Every file that is not hidden, through links."""
    found = {}
    for root, directories, files in os.walk(directory, followlinks=True):
        directories[:] = [name for name in directories if not name.startswith(".")]
        paths = [Path(root) / name for name in files if not name.startswith(".")]
        found.update({path.relative_to(directory).as_posix(): path.read_bytes() for path in paths})
    return found


def test_one_table_is_copied_and_what_is_there_is_refused(
    free: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    url = f"{free}/t.parquet"
    assert run_command(main, ["copy", str(tmp_path / "t.parquet"), url]) == 0
    assert run_command(main, ["copy", url, str(tmp_path / "new" / "t.parquet")]) == 0
    assert (tmp_path / "new" / "t.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()
    capsys.readouterr()
    for taken in (url, str(tmp_path / "t.parquet")):
        assert run_command(main, ["copy", str(tmp_path / "t.parquet"), taken]) == 2
        assert f"{taken} exists" in capsys.readouterr().err
    assert run_command(main, ["copy", f"{free}/nothing", str(tmp_path / "x")]) == 2
    assert f"nothing at {free}/nothing" in capsys.readouterr().err


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str, **_: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(StoreError, match=r"Install s3fs .* pip install 'lightwell\[s3\]'"):
        Remote("s3://bucket/store").exists()


def test_a_url_is_no_path(free: Remote) -> None:
    assert place("a/b") == Path("a/b")
    assert str(place("s3://a/b/")) == "s3://a/b"
    assert str(pickle.loads(pickle.dumps(free)) / "x") == f"{free}/x"
    with pytest.raises(TypeError, match="no path of this machine"):
        Path(free)  # type: ignore[arg-type]


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    fsspec.filesystem("memory").store["/lightwell-src/../../out.txt"] = fsspec.filesystem("memory").open(
        "/lightwell-other", "wb"
    )
    with pytest.raises(StoreError, match=r"a file named '\.\./\.\./out\.txt'"):
        list(Remote("memory://lightwell-src").files())

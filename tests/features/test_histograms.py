"""Step `histograms`: numpy.histogram of each feature's non-zeros, by either method."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.command_line import run_command
from precompute.features import histograms as step
from precompute.stores.feature_store import FeatureBlock
from tests.builders import CONSTANT, SILENT, dense_matrix, random_row_store, random_subject
from tests.stores.store_contract import tree


def table_of(subject, out, settings=None, **operations) -> pl.DataFrame:
    step.run(subject.context(out, settings, **operations))
    return pl.read_parquet(out / "histograms.parquet")


@pytest.mark.parametrize("method", ["fast", "parallel"])
@pytest.mark.parametrize("n_bins", [1, 7, 50])
def test_each_feature_has_numpys_histogram(tmp_path, method, n_bins):
    subject = random_subject(tmp_path, n_examples=50, examples_per_shard=16)
    table = table_of(subject, tmp_path / "out", {"n_bins": n_bins}, method=method)
    for feature, acts in enumerate(dense_matrix(subject.rows).T):
        row = table.row(feature, named=True)
        assert row["n_zero"] == (acts == 0).sum()
        assert sum(row["counts"]) + row["n_zero"] == subject.rows.n_rows
        if feature == SILENT:
            assert row["bin_edges"] == row["counts"] == []
            continue
        counts, edges = np.histogram(acts[acts != 0], bins=n_bins)
        np.testing.assert_array_equal(row["counts"], counts)
        np.testing.assert_array_equal(row["bin_edges"], edges)
    assert table["bin_edges"][CONSTANT].to_list()[0] == 1.0


VALUES = st.floats(-(2.0**29), 2.0**29, width=32, allow_subnormal=False).filter(bool)
GRID = st.integers(-20, 20).filter(bool).map(lambda i: i / 10)


@settings(max_examples=150)
@given(values=st.lists(VALUES, min_size=1) | st.lists(GRID, min_size=1), n_bins=st.integers(1, 40))
def test_bins_are_numpys_for_any_values_edges_included(values, n_bins):
    acts = np.array(values, np.float32)
    indptr, rows = np.array([0, 0, len(acts), len(acts)]), np.arange(len(acts))
    found = step.count_block_of(FeatureBlock(0, indptr, rows, acts), n_bins)
    counts, edges = np.histogram(acts.astype(np.float64), bins=n_bins)
    np.testing.assert_array_equal(found.counts, [np.zeros(n_bins), counts, np.zeros(n_bins)])
    np.testing.assert_array_equal(found.bins.edges()[1], edges)


def test_a_single_huge_value_has_bins_of_a_width():
    acts = np.array([1e30, 1e30], np.float32)
    found = step.count_block_of(FeatureBlock(0, np.array([0, 2]), np.arange(2), acts), 10)
    assert found.counts.sum() == 2
    assert (np.diff(found.bins.edges()[0]) > 0).all()


def test_methods_workers_and_backends_change_nothing(tmp_path):
    trees = []
    for backend in ("npy", "zarr"):
        subject = random_subject(tmp_path / backend, backend, 30, examples_per_shard=7)
        for method in ("fast", "parallel"):
            for workers in (1, 2):
                out = tmp_path / f"{backend}{method}{workers}"
                table_of(subject, out, method=method, workers=workers)
                trees.append(tree(out))
    assert all(found == trees[0] for found in trees)


@pytest.mark.parametrize("method", ["fast", "parallel"])
def test_only_the_listed_features_are_in_the_table(tmp_path, method):
    subject = random_subject(tmp_path)
    whole = table_of(subject, tmp_path / "whole")
    assert table_of(subject, tmp_path / "part", {"features": (5, 9)}, method=method).equals(whole[5:9])
    nothing = table_of(subject, tmp_path / "nothing", {"features": (500, 900)}, method=method)
    assert nothing.height == 0
    assert nothing.schema == whole.schema


def test_float16_activations_are_counted_as_the_numbers_they_are(tmp_path):
    subject = random_subject(tmp_path, acts_dtype="float16")
    for method in ("fast", "parallel"):
        table = table_of(subject, tmp_path / method, method=method)
        acts = dense_matrix(subject.rows)[:, 7]
        counts, edges = np.histogram(acts[acts != 0], bins=50)
        assert table["counts"][7].to_list() == counts.tolist()
        assert table["bin_edges"][7].to_list() == edges.tolist()


def test_the_command_reads_either_layout_and_a_directory_of_both(tmp_path, capsys):
    subject = random_subject(tmp_path / "s")
    for number, (place, method) in enumerate(
        (directory, method)
        for directory in (subject.root, subject.rows.root, subject.features.root)
        for method in ("fast", "parallel", "vectorized")
    ):
        argv = ["--data-dir", str(place), "--method", method, "--n_workers", "2", "--n-bins", "9"]
        assert run_command(step.main, [*argv, "--output-path", str(tmp_path / f"{number}.parquet")]) == 0
    written = {path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert len(written) == 1
    assert (tmp_path / "8.parquet").read_bytes() in written


@pytest.mark.parametrize("wrong", [["--n-bins", "0"], ["--data-dir", "nowhere"], ["--method", "slow"]])
def test_bad_usage_is_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    store = random_row_store(tmp_path / "s", n_examples=3)
    assert run_command(step.main, ["--data-dir", str(store.root), *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]

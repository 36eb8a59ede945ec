"""Step `coactivations` agrees with NumPy in float64 over all pairs of features."""

import numpy as np
import polars as pl
import pytest

from precompute.features import coactivations as step
from tests.builders import DENSE, SILENT, dense_matrix, random_subject
from tests.stores.store_contract import tree


def table_of(subject, out, settings=None, **operations) -> pl.DataFrame:
    step.run(subject.context(out, settings, **operations))
    return pl.read_parquet(out / "coactivations.parquet")


def oracle(dense: np.ndarray, feature: int, n: int) -> list[dict]:
    """The n features of greatest Jaccard index, with everything said of each pair."""
    found = []
    for other in range(dense.shape[1]):
        both = int(((dense[:, feature] != 0) & (dense[:, other] != 0)).sum())
        if other == feature or not both:
            continue
        union = int(((dense[:, feature] != 0) | (dense[:, other] != 0)).sum())
        n_feature, n_other = (int((dense[:, f] != 0).sum()) for f in (feature, other))
        varies = dense[:, feature].std() > 0 and dense[:, other].std() > 0
        found.append(
            {
                "feature": feature,
                "other": other,
                "n_both": both,
                "jaccard": both / union,
                "pearson": np.corrcoef(dense[:, feature], dense[:, other])[0, 1] if varies else None,
                "lift": both / len(dense) / (n_feature / len(dense) * n_other / len(dense)),
                "n_rows_used": len(dense),
            }
        )
    found.sort(key=lambda pair: (-pair["jaccard"], pair["other"]))
    return [{**pair, "rank": rank} for rank, pair in enumerate(found[:n])]


def assert_table(table: pl.DataFrame, dense: np.ndarray, n: int) -> None:
    expected = [pair for feature in range(dense.shape[1]) for pair in oracle(dense, feature, n)]
    assert table.height == len(expected)
    for ours, theirs in zip(table.iter_rows(named=True), expected, strict=True):
        for name, value in theirs.items():
            assert (ours[name] is None) == (value is None), name
            assert value is None or ours[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize(
    ("seed", "n", "acts_dtype"), [(0, 20, "float32"), (1, 3, "float32"), (2, 5, "float16")]
)
def test_the_table_equals_the_oracles(tmp_path, seed, n, acts_dtype):
    subject = random_subject(tmp_path, n_examples=50, seed=seed, examples_per_shard=16, acts_dtype=acts_dtype)
    table = table_of(subject, tmp_path / "out", {"n_coactivations": n})
    assert_table(table, dense_matrix(subject.rows), n)
    assert table["jaccard_se"].null_count() == table.height


def test_a_silent_feature_is_in_no_pair_and_a_dense_one_in_many(tmp_path):
    table = table_of(random_subject(tmp_path), tmp_path / "out", {"n_coactivations": 50})
    assert SILENT not in table["feature"]
    assert SILENT not in table["other"]
    assert table.filter(pl.col("other") == DENSE).height == table["feature"].n_unique() - 1


def test_sampled_rows_are_some_of_the_rows_and_the_error_is_stated(tmp_path):
    subject = random_subject(tmp_path, n_examples=60, examples_per_shard=16)
    dense = dense_matrix(subject.rows)
    settings = {"coactivation_max_rows": 120, "n_coactivations": 9}
    rows = step.sample_rows(subject.rows, 120, 0)
    sample = np.zeros((120, dense.shape[1]))
    owners = np.repeat(np.arange(120), np.diff(rows.indptr))
    sample[owners, rows.features] = rows.acts
    assert {row.tobytes() for row in sample} <= {row.tobytes() for row in dense}
    table = table_of(subject, tmp_path / "out", settings)
    assert_table(table, sample, 9)
    n_active = (sample != 0).sum(axis=0)
    union = n_active[table["feature"]] + n_active[table["other"]] - table["n_both"].to_numpy()
    jaccard = table["jaccard"].to_numpy()
    np.testing.assert_allclose(table["jaccard_se"], np.sqrt(jaccard * (1 - jaccard) / union))
    assert table_of(subject, tmp_path / "again", settings).equals(table)
    assert not table_of(subject, tmp_path / "other", {**settings, "seed": 1}).equals(table)


@pytest.mark.parametrize("settings", [{}, {"coactivation_max_rows": 50}])
def test_workers_and_backends_change_nothing(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(step, "FEATURES_AT_ONCE", 5)
    trees = []
    for backend in ("npy", "zarr"):
        subject = random_subject(tmp_path / backend, backend, 30, examples_per_shard=7)
        for workers in (1, 2):
            out = tmp_path / f"{backend}{workers}"
            table_of(subject, out, settings, workers=workers)
            trees.append(tree(out))
    assert all(found == trees[0] for found in trees)


def test_only_the_listed_features_are_in_the_table(tmp_path):
    subject = random_subject(tmp_path)
    whole = table_of(subject, tmp_path / "whole")
    part = table_of(subject, tmp_path / "part", {"features": (5, 9)})
    assert part.equals(whole.filter(pl.col("feature").is_between(5, 8)))
    assert part["other"].max() > 9
    assert table_of(subject, tmp_path / "none", {"features": (500, 900)}).schema == whole.schema


def test_a_feature_that_never_varies_has_no_correlation():
    rows = step.SampledRows(
        indptr=np.array([0, 2, 3, 5]),
        features=np.array([0, 1, 0, 0, 1], np.uint16),
        acts=np.array([0.1, 1, 0.1, 0.1, 2], np.float32),
        group=np.array([0, 3, 5]),
        group_rows=np.array([0, 1, 2, 0, 2], np.uint32),
        group_acts=np.array([0.1, 0.1, 0.1, 1, 2], np.float32),
        sampled=False,
    )
    table = step.pairs_table(range(2), rows, step.feature_moments(rows), 3)
    assert table["pearson"].to_list() == [None, None]
    assert table["lift"].to_list() == [1, 1]

"""Token features against a reference that goes through the dense matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute.features import token_features
from tests.builders import Subject, dense_matrix, random_subject
from tests.features.token_steps import (
    WIDE,
    check_storage_and_workers_do_not_matter,
    row_places,
    run_step,
)


def tokens_of_rows(subject: Subject) -> list[int]:
    return [subject.corpus.windows[e].token_ids[p] for e, p in row_places(subject)]


def reference(subject: Subject, token: int, size: int, listed: range) -> list[tuple[int, int, float, float]]:
    """(feature, n_active, mean over the token's rows, max) of one token, best first."""
    dense, tokens = dense_matrix(subject.rows), tokens_of_rows(subject)
    acts = dense[[row for row, t in enumerate(tokens) if t == token]]
    found = [
        (f, int((acts[:, f] != 0).sum()), float(sum(acts[:, f])) / len(acts), float(acts[:, f].max()))
        for f in listed
        if acts.any(axis=0)[f]
    ]
    return sorted(found, key=lambda entry: (-entry[2], entry[0]))[:size]


@pytest.mark.parametrize(("size", "features"), [(3, None), (100, None), (4, (1020, 1027))])
def test_equals_the_reference(tmp_path: Path, size: int, features: tuple[int, int] | None) -> None:
    subject = random_subject(
        tmp_path, n_examples=12, d_sae=WIDE, density=0.04, d_vocab=9, examples_per_shard=5
    )
    settings = {"n_token_features": size, "features": features}
    context = run_step(token_features.STEP, subject, tmp_path / "out", settings)
    table = pl.read_parquet(context.out / "token_features.parquet")
    for token in range(9):
        rows = table.filter(pl.col("token_id") == token)
        expected = reference(subject, token, size, context.features(WIDE)) if token else []
        assert rows["rank"].to_list() == list(range(len(expected)))
        assert rows["feature"].to_list() == [e[0] for e in expected]
        assert rows["n_active"].to_list() == [e[1] for e in expected]
        np.testing.assert_allclose(rows["mean_act"], [e[2] for e in expected], rtol=1e-14)
        np.testing.assert_allclose(rows["max_act"], [e[3] for e in expected], rtol=1e-7)


@pytest.mark.parametrize("features", [None, (1020, 1027)])
def test_counts_equal_the_reference(tmp_path: Path, features: tuple[int, int] | None) -> None:
    subject = random_subject(
        tmp_path, n_examples=12, d_sae=WIDE, density=0.04, d_vocab=9, examples_per_shard=5
    )
    context = run_step(token_features.STEP, subject, tmp_path / "out", {"features": features})
    table = pl.read_parquet(context.out / "token_counts.parquet")
    tokens = tokens_of_rows(subject)
    assert table["token_id"].to_list() == list(range(9))
    assert table["n_rows"].to_list() == [tokens.count(token) for token in range(9)]
    expected = [
        len(reference(subject, token, WIDE, context.features(WIDE))) if token else 0 for token in range(9)
    ]
    assert table["n_features"].to_list() == expected


def test_equal_features_rank_by_number() -> None:
    from precompute.features.kernels.boards import offer

    boards = token_features.Boards.empty(1, 2)
    groups = (np.arange(5), np.zeros(4, np.int64), np.ones(4), np.array([1.0, 2, 2, 1]), np.ones(4))
    offer(boards.feature, boards.total, boards.count, boards.largest, 10, *groups)
    assert boards.feature.tolist() == [[11, 12]]


def test_token_rows_list_every_row_once(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=15, d_sae=4, d_vocab=12, examples_per_shard=4)
    out = run_step(token_features.STEP, subject, tmp_path / "out").out / "token_rows"
    indptr, rows = np.load(out / "indptr.npy"), np.load(out / "rows.npy")
    tokens = tokens_of_rows(subject)
    for token in range(12):
        expected = [row for row, t in enumerate(tokens) if t == token]
        assert rows[indptr[token] : indptr[token + 1]].tolist() == expected
    assert len(rows) == subject.rows.n_rows
    assert indptr.dtype == np.int64
    assert rows.dtype == np.uint32


def test_storage_and_workers_do_not_matter(tmp_path: Path) -> None:
    check_storage_and_workers_do_not_matter(token_features.STEP, tmp_path)

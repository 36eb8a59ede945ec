"""Token contexts against a reference that reads n-gram by n-gram."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute.errors import NotApplicableError, StoreError
from precompute.features import token_contexts
from tests.builders import BOS, Subject, dense_matrix, random_subject
from tests.features.token_steps import (
    WIDE,
    check_storage_and_workers_do_not_matter,
    row_places,
    run_step,
)


def ngram_at(subject: Subject, example: int, position: int, n: int) -> tuple[int, ...] | None:
    """The n tokens up to a position; None where they would reach BOS or lie outside the example."""
    ngram = tuple(subject.corpus.windows[example].token_ids[max(0, position + 1 - n) : position + 1])
    return ngram if len(ngram) == n and BOS not in ngram else None


def reference(subject: Subject, feature: int, n: int, size: int) -> list[tuple]:
    """(ngram, count, mean, max, share) of one feature, best first."""
    acts, occurrences = defaultdict(list), Counter()
    dense = dense_matrix(subject.rows)[:, feature]
    for row, (example, position) in enumerate(row_places(subject)):
        ngram = ngram_at(subject, example, position, n)
        if ngram is not None:
            occurrences[ngram] += 1
            if dense[row]:
                acts[ngram].append(dense[row])
    found = [
        (ngram, len(a), sum(a) / len(a), max(a), len(a) / occurrences[ngram]) for ngram, a in acts.items()
    ]
    return sorted(found, key=lambda entry: (-entry[1], -entry[2], entry[0]))[:size]


@pytest.mark.parametrize("size", [3, 500])
def test_equals_the_reference(tmp_path: Path, size: int) -> None:
    subject = random_subject(tmp_path, n_examples=30, d_sae=10, d_vocab=6, examples_per_shard=7)
    context = run_step(token_contexts.STEP, subject, tmp_path / "out", {"n_contexts": size})
    table = pl.read_parquet(context.out / "token_contexts.parquet")
    assert table["feature"].is_sorted()
    for feature in range(10):
        for n in (1, 2, 3):
            rows = table.filter(pl.col("feature") == feature, pl.col("n") == n)
            expected = reference(subject, feature, n, size)
            assert rows["ngram"].to_list() == [list(e[0]) for e in expected]
            assert rows["text"].to_list() == [
                "".join(subject.corpus.tokens[t] for t in e[0]) for e in expected
            ]
            assert rows["count"].to_list() == [e[1] for e in expected]
            np.testing.assert_allclose(rows["mean_act"], [e[2] for e in expected], rtol=1e-14)
            np.testing.assert_allclose(rows["max_act"], [e[3] for e in expected], rtol=1e-7)
            np.testing.assert_allclose(rows["share"], [e[4] for e in expected], rtol=1e-6)


def test_a_feature_of_every_row_fires_on_every_occurrence(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=10, d_sae=4)
    context = run_step(token_contexts.STEP, subject, tmp_path / "out")
    table = pl.read_parquet(context.out / "token_contexts.parquet")
    assert table.filter(pl.col("feature") == 1)["share"].unique().to_list() == [1.0]
    assert 0 not in table["feature"]


def test_part_of_the_features_gives_that_part_of_the_table(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=8, d_sae=WIDE, density=0.05)
    whole = pl.read_parquet(
        run_step(token_contexts.STEP, subject, tmp_path / "whole").out / "token_contexts.parquet"
    )
    context = run_step(token_contexts.STEP, subject, tmp_path / "part", {"features": (1020, 1027)})
    part = pl.read_parquet(context.out / "token_contexts.parquet")
    assert part.equals(whole.filter(pl.col("feature").is_between(1020, 1026)))
    assert part.height > 0


def test_storage_and_workers_do_not_matter(tmp_path: Path) -> None:
    check_storage_and_workers_do_not_matter(token_contexts.STEP, tmp_path)


def test_pooled_rows_have_no_contexts(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=3, d_sae=4)
    for part in (subject.root / "activations" / "parts").iterdir():
        np.save(part / "position.npy", np.full_like(np.load(part / "position.npy"), -1))
    with pytest.raises(NotApplicableError, match="whole examples"):
        run_step(token_contexts.STEP, subject, tmp_path / "out")


def test_tokens_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=3, d_sae=4)
    path = subject.root / "vocabulary.parquet"
    pl.read_parquet(path).head(5).write_parquet(path)
    with pytest.raises(StoreError, match="ids from 0 to 4"):
        run_step(token_contexts.STEP, subject, tmp_path / "out")

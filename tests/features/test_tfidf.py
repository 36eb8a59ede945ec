"""TF-IDF against a reference that reads token by token."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from precompute.features import tfidf
from precompute.features.kernels.draws import drawn
from tests.builders import BOS, Subject, dense_matrix, random_subject
from tests.features.token_steps import (
    WIDE,
    check_storage_and_workers_do_not_matter,
    row_places,
    run_step,
)


def window_tokens(subject: Subject, rows: list[int], width: int) -> list[int]:
    """The tokens within `width` of any of the rows, each token of the corpus once, BOS left out."""
    places = row_places(subject)
    inside = {
        (example, position + shift)
        for example, position in (places[row] for row in rows)
        for shift in range(-width, width + 1)
        if 0 <= position + shift < len(subject.corpus.windows[example].token_ids)
    }
    tokens = [subject.corpus.windows[example].token_ids[position] for example, position in sorted(inside)]
    return [token for token in tokens if token != BOS]


def reference(subject: Subject, feature: int, settings: dict[str, Any]) -> list[tuple[int, float, float]]:
    """(token, tf, tfidf) of one feature, best first."""
    active = np.flatnonzero(dense_matrix(subject.rows)[:, feature])
    rows = active[drawn(len(active), settings["tfidf_max_rows"], settings.get("seed", 0), feature)].tolist()
    tokens = window_tokens(subject, rows, settings["tfidf_window"])
    windows = [set(w.token_ids) for w in subject.corpus.windows]
    scored = []
    for token, count in Counter(tokens).items():
        frequency = sum(token in w for w in windows)
        tf = count / len(tokens)
        scored.append((token, tf, tf * np.log((len(windows) + 1) / (frequency + 1))))
    return sorted(scored, key=lambda entry: (-entry[2], entry[0]))[: settings["n_tfidf"]]


@pytest.mark.parametrize(
    "settings",
    [
        {"tfidf_window": 2, "tfidf_max_rows": 2000, "n_tfidf": 6},
        {"tfidf_window": 0, "tfidf_max_rows": 4, "n_tfidf": 3, "seed": 7},
        {"tfidf_window": 50, "tfidf_max_rows": 3, "n_tfidf": 100},
    ],
)
def test_equals_the_reference(tmp_path: Path, settings: dict[str, Any]) -> None:
    subject = random_subject(tmp_path, n_examples=14, d_sae=12, examples_per_shard=5)
    table = pl.read_parquet(run_step(tfidf.STEP, subject, tmp_path / "out", settings).out / "tfidf.parquet")
    for feature in range(12):
        rows = table.filter(pl.col("feature") == feature)
        expected = reference(subject, feature, settings)
        assert rows["rank"].to_list() == list(range(len(expected)))
        assert rows["token_id"].to_list() == [token for token, _, _ in expected]
        assert rows["token"].to_list() == [subject.corpus.tokens[token] for token, _, _ in expected]
        np.testing.assert_allclose(rows["tf"], [tf for _, tf, _ in expected], rtol=1e-14)
        np.testing.assert_allclose(rows["tfidf"], [score for *_, score in expected], rtol=1e-14)
    assert BOS not in table["token_id"]


def test_part_of_the_features_gives_that_part_of_the_table(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=8, d_sae=WIDE, density=0.05)
    small = {"tfidf_max_rows": 2}
    whole = pl.read_parquet(run_step(tfidf.STEP, subject, tmp_path / "whole", small).out / "tfidf.parquet")
    for first, stop in ((1000, 1029), (5, 9), (1024, 2000), (2000, 3000)):
        context = run_step(tfidf.STEP, subject, tmp_path / f"{first}", {**small, "features": (first, stop)})
        part = pl.read_parquet(context.out / "tfidf.parquet")
        assert part.equals(whole.filter(pl.col("feature").is_between(first, stop - 1)))


def test_storage_and_workers_do_not_matter(tmp_path: Path) -> None:
    check_storage_and_workers_do_not_matter(tfidf.STEP, tmp_path, {"tfidf_max_rows": 3})


def test_a_pooled_row_counts_its_whole_example(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=3, d_sae=4)
    for part in (subject.root / "activations" / "parts").iterdir():
        positions = np.load(part / "position.npy")
        np.save(part / "position.npy", np.full_like(positions, -1))
    context = run_step(tfidf.STEP, subject, tmp_path / "out", {"n_tfidf": 100})
    table = pl.read_parquet(context.out / "tfidf.parquet").filter(pl.col("feature") == 1)
    tokens = [t for w in subject.corpus.windows for t in w.token_ids if t != BOS]
    shares = {token: count / len(tokens) for token, count in Counter(tokens).items()}
    assert dict(zip(table["token_id"], table["tf"], strict=True)) == pytest.approx(shares)

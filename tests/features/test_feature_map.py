"""The feature map as a step: places, clusters, labels."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from precompute.features import feature_map, neighbors
from precompute.features.cluster_labels import N_PROMOTED, votes
from tests.builders import step_context

N_GROUPS, N_EACH, ZERO = 4, 30, 17
WORDS = ("apple", "bridge", "cloud", "dance")
PROMOTED = ["Echo", " ", *(f" fog{i}" for i in range(28))]
FILES = ("directions.npy", "unembed.npy", "vocabulary.parquet", "tfidf.parquet", "neighbors.parquet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Directions around four centres, one of norm zero; the features of each fire on a word of their own."""
    rng = np.random.default_rng(3)
    group = np.arange(N_GROUPS * N_EACH) % N_GROUPS
    directions = rng.normal(size=(N_GROUPS, 16))[group] + 0.2 * rng.normal(size=(len(group), 16))
    directions[ZERO] = 0
    np.save(tmp_path / "directions.npy", directions.astype(np.float32))
    np.save(tmp_path / "unembed.npy", np.zeros((16, 0), np.float32))
    vocabulary = {"token_id": range(len(PROMOTED)), "token": PROMOTED}
    pl.DataFrame(vocabulary).write_parquet(tmp_path / "vocabulary.parquet")
    tokens = [[f" {WORDS[g]}", f"{WORDS[g].title()}", " the", " ", f"odd{f}"] for f, g in enumerate(group)]
    pl.DataFrame(
        {
            "feature": pl.Series(np.repeat(np.arange(len(group)), 5), dtype=pl.UInt32),
            "token": [token for entry in tokens for token in entry],
            "tfidf": [0.5, 0.4, 0.6, 3.0, 0.1] * len(group),
        }
    ).write_parquet(tmp_path / "tfidf.parquet")
    write_neighbors(tmp_path, {})
    return tmp_path


def write_neighbors(root: Path, settings: dict[str, Any]) -> None:
    neighbors.run(step_context(root, {"directions.npy": root / "directions.npy"}, settings))


def map_file(root: Path, name: str, settings: dict[str, Any] | None = None, workers: int = 1) -> Path:
    files = {file: root / file for file in FILES}
    context = step_context(root / name, files, {"map_epochs": 50, **(settings or {})}, workers=workers)
    feature_map.run(context)
    return context.out / "feature_map.parquet"


def test_groups_become_clusters_labelled_by_their_words(root: Path) -> None:
    table = pl.read_parquet(map_file(root, "out"))
    assert table["feature"].to_list() == list(range(N_GROUPS * N_EACH))
    group = table["feature"].to_numpy() % N_GROUPS
    for cluster in range(table["cluster"].max() + 1):
        members = table.filter(pl.col("cluster") == cluster)
        assert members.height >= 10
        assert len(set(group[members["feature"].to_numpy()])) == 1
        label = members["label"].unique().to_list()
        assert [part.split(" · ")[0] for part in label] == [WORDS[group[members["feature"][0]]]]
    assert table["cluster"].max() >= N_GROUPS - 1
    assert (table["cluster"] == -1).mean() < 0.3
    assert (table["label"].is_null() == (table["cluster"] == -1)).all()


def test_promoted_tokens_have_a_vote_where_there_is_an_output_layer(root: Path) -> None:
    directions = np.load(root / "directions.npy")
    unembed = np.random.default_rng(1).normal(size=(16, len(PROMOTED))).astype(np.float32) * 0.01
    unembed[:, 0] = directions[0::N_GROUPS].mean(axis=0)  # the direction of the first group
    np.save(root / "unembed.npy", unembed)
    table = pl.read_parquet(map_file(root, "out"))
    first = table.filter(pl.col("feature") % N_GROUPS == 0, pl.col("cluster") >= 0)["label"].unique()
    assert all({"apple", "echo"} <= set(label.split(" · ")) for label in first)


def test_votes_against_a_count_one_by_one(root: Path) -> None:
    np.save(root / "unembed.npy", np.random.default_rng(1).normal(size=(16, 30)).astype(np.float32))
    found = votes(step_context(root / "votes", {file: root / file for file in FILES}))
    effects = np.load(root / "directions.npy") @ np.load(root / "unembed.npy")
    near = pl.read_parquet(root / "tfidf.parquet")
    for feature in (0, 1, ZERO, 50):
        expected: dict[str, float] = defaultdict(float)
        top = np.argsort(-effects[feature], kind="stable")[:N_PROMOTED]
        promoted = [(PROMOTED[t], float(effects[feature, t])) for t in top]
        mine = near.filter(pl.col("feature") == feature)
        for listed in (promoted, list(zip(mine["token"], mine["tfidf"], strict=True))):
            kept = [(token.strip().lower(), score) for token, score in listed if token.strip() and score > 0]
            for form, score in kept:
                expected[form] += score / sum(other for _, other in kept)
        counted = found.filter(pl.col("feature") == feature).group_by("form").agg(pl.col("vote").sum())
        assert dict(counted.iter_rows()) == pytest.approx(dict(expected), rel=1e-5)


def test_a_direction_of_norm_zero_has_no_place(root: Path) -> None:
    table = pl.read_parquet(map_file(root, "out"))
    assert table.row(ZERO) == (ZERO, None, None, -1, None)
    assert table["x"].null_count() == 1
    assert table["x"].is_nan().any() is False


def test_the_same_bytes_every_time_and_with_any_workers(root: Path) -> None:
    first = map_file(root, "first").read_bytes()
    assert map_file(root, "again").read_bytes() == first
    assert map_file(root, "workers", workers=2).read_bytes() == first
    assert map_file(root, "seed", {"seed": 5}).read_bytes() != first


def test_a_neighbour_table_that_is_too_short_changes_nothing(root: Path) -> None:
    first = map_file(root, "first").read_bytes()
    write_neighbors(root, {"n_neighbors": 3})
    assert map_file(root, "short").read_bytes() == first
    write_neighbors(root, {"features": (3, 60)})
    assert map_file(root, "part").read_bytes() == first


def test_part_of_the_features_gives_that_part_of_the_map(root: Path) -> None:
    whole = pl.read_parquet(map_file(root, "whole"))
    part = pl.read_parquet(map_file(root, "part", {"features": (10, 25)}))
    assert part.equals(whole.slice(10, 15))


@pytest.mark.parametrize("directions", [np.zeros((3, 4)), np.eye(4)[:1], np.eye(4)[:3]])
def test_few_or_no_directions(root: Path, directions: np.ndarray) -> None:
    np.save(root / "directions.npy", directions.astype(np.float32))
    np.save(root / "unembed.npy", np.zeros((directions.shape[1], 0), np.float32))
    write_neighbors(root, {})
    tfidf = pl.read_parquet(root / "tfidf.parquet").filter(pl.col("feature") < len(directions))
    tfidf.write_parquet(root / "tfidf.parquet")
    table = pl.read_parquet(map_file(root, "few"))
    assert table.height == len(directions)
    assert table["cluster"].unique().to_list() == [-1]
    assert table["x"].null_count() == (~directions.any(axis=1)).sum()

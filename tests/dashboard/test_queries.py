"""Answers equal what the artifacts hold; what is absent is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dashboard import grid
from dashboard.address import AddressError
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.frequency import distribution
from dashboard.questions.token_effects import logit_effects
from dashboard.questions.tokens import effect_table
from precompute.errors import ArtifactMissingError, CorruptArtifactError
from tests.builders import SILENT, dense_matrix
from tests.dashboard.made_artifacts import D_SAE, OUTPUTS, PlainArtifacts, make_artifacts, plain_artifacts

EVERYTHING = range(1000)


@pytest.fixture
def own(artifacts: PlainArtifacts, tmp_path: Path) -> Queries:
    """Artifacts that a test may change."""
    shutil.copytree(artifacts.directory, tmp_path / "own")
    return Queries(plain_artifacts(tmp_path / "own"))


def test_the_table_holds_what_the_artifacts_hold(queries: Queries, artifacts: PlainArtifacts) -> None:
    table = queries.feature_table()
    stats = artifacts.table("feature_stats").sort("feature")
    assert table["feature"].to_list() == list(range(D_SAE))
    for name in ("frac_active", "n_nonzero", "max", "mean_active", "decoder_norm"):
        assert table[name].to_list() == stats[name].to_list()
    assert table["kurtosis"].to_list() == artifacts.table("logit_stats")["kurtosis"].to_list()


def test_the_table_shows_the_strongest_tokens(queries: Queries, artifacts: PlainArtifacts) -> None:
    top = artifacts.table("influences").filter(direction="promotes", feature=3).sort("rank")["token"][:3]
    row = queries.feature_table().row(3, named=True)
    assert row["searchable"].split("\n")[0] in (top[0], top[0].split("\n")[0])
    assert len(row["promotes"].split("  ")) == 3


def test_a_silent_feature_has_no_mean(queries: Queries) -> None:
    row = queries.feature_table().row(SILENT, named=True)
    assert row["mean_active"] is None
    assert row["max"] == 0
    assert row["tfidf"] is None


def test_statistics_and_histograms(queries: Queries, artifacts: PlainArtifacts) -> None:
    dense = dense_matrix(artifacts.row_store())
    for feature in range(D_SAE):
        found, histogram = queries.statistics(feature), queries.histogram(feature)
        column = dense[:, feature]
        assert found.stats["n_nonzero"] == (column != 0).sum()
        assert found.stats["max"] == column.max()
        assert histogram.counts.sum() + histogram.n_zero == len(column)
        assert found.is_silent == (feature == SILENT)


def test_effects_are_in_order(queries: Queries) -> None:
    found = queries.effects(4)
    assert [e.influence for e in found.promoted] == sorted(
        (e.influence for e in found.promoted), reverse=True
    )
    assert [e.influence for e in found.suppressed] == sorted(e.influence for e in found.suppressed)


def test_examples_carry_the_activation_of_every_token(queries: Queries, artifacts: PlainArtifacts) -> None:
    store = artifacts.row_store()
    for feature in range(D_SAE):
        for band in queries.bands(feature):
            shown = queries.examples(feature, band.name)
            assert len(shown) == band.n_examples
            for example in shown:
                expected = store.example_feature_acts(example.example, feature)
                np.testing.assert_array_equal(example.acts, expected)
                assert len(example.str_tokens) == len(example.acts)
                if example.position is not None:
                    assert example.acts[example.position] == pytest.approx(example.activation)


def test_examples_agree_with_the_reader(queries: Queries, artifacts: PlainArtifacts) -> None:
    shown = queries.examples(5, "top")[0]
    read = artifacts.example(shown.example, 5)
    assert shown.str_tokens == read.str_tokens
    assert shown.metadata == read.metadata
    assert (shown.text_id, shown.chunk) == (read.text_id, read.chunk)


def test_equal_texts_are_counted(queries: Queries, artifacts: PlainArtifacts) -> None:
    corpus = artifacts.table("corpus")
    copies = {
        r["text_index"]: corpus.filter(duplicate_of=r["duplicate_of"]).height for r in corpus.to_dicts()
    }
    assert queries.corpus_texts()["n_copies"].to_list() == [copies[i] for i in corpus["text_index"]]


def test_bands_are_in_order_and_explained(queries: Queries) -> None:
    bands = queries.bands(5)
    assert [band.name for band in bands] == ["top", "q2", "q1", "v2", "v1", "miss"]
    assert "50th and the 100th percentile" in bands[1].description
    assert all(band.n_examples == 0 for band in queries.bands(SILENT))


def test_frequencies_count_every_feature(queries: Queries) -> None:
    found = distribution(queries)
    assert found.histogram.counts.sum() + found.histogram.n_zero == found.n_features == D_SAE
    shares = queries.feature_table()["frac_active"]
    assert found.n_dense == (shares > 0.1).sum()


@pytest.mark.parametrize(
    "value", [-1, "-1", "abc", "99999999", D_SAE, "1e3", "1.0", "٣", None, True, [], "1" * 50]
)
def test_features_that_do_not_exist(queries: Queries, value: object) -> None:
    with pytest.raises(AddressError, match="from 0"):
        queries.known_feature(value)


@pytest.mark.parametrize(
    "step", [step for step in OUTPUTS if step not in ("corpus", "activations", "transpose")]
)
def test_an_absent_artifact_names_its_command(own: Queries, step: str) -> None:
    for output in OUTPUTS[step]:
        path = own.artifacts.directory / output
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ask = {
        "feature_stats": lambda: own.statistics(1),
        "histograms": lambda: own.histogram(1),
        "examples": lambda: own.bands(1),
        "directions": lambda: logit_effects(own, 1),
        "influences": lambda: own.effects(1),
        "logit_stats": lambda: own.logit_histogram(1),
        "sae_quality": lambda: summaries.quality(own),
    }
    with pytest.raises(ArtifactMissingError, match=f"--only {step}"):
        ask.get(step, lambda: own.rows_of(step, 1))()
    if step != "feature_stats":
        assert own.feature_table().height == D_SAE


@pytest.mark.parametrize(("step", "column"), [("influences", "promotes"), ("feature_map", "cluster")])
def test_what_is_computed_later_joins_the_features_by_their_effect_on_a_token(
    own: Queries, tmp_path: Path, step: str, column: str
) -> None:
    whole = effect_table(own, 3)
    aside = [(own.artifacts.directory / name).rename(tmp_path / name) for name in OUTPUTS[step]]
    assert column not in effect_table(own, 3).columns
    for path in aside:
        path.rename(own.artifacts.directory / path.name)
    assert effect_table(own, 3).equals(whole)


def test_damaged_bytes_are_said_to_be_damaged(own: Queries) -> None:
    (own.artifacts.directory / "histograms.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CorruptArtifactError, match="--verify"):
        own.histogram(1)


def test_a_replaced_artifact_is_read_anew(own: Queries, tmp_path: Path) -> None:
    before = own.statistics(3).stats["max"]
    other = make_artifacts(tmp_path / "other", seed=1)
    shutil.copy(other.path("feature_stats.parquet"), own.artifacts.directory)
    after = own.statistics(3).stats["max"]
    assert after == other.table("feature_stats").filter(feature=3)["max"][0] != before
    assert own.feature_table()["max"][3] == after


def test_a_table_that_is_not_sorted_is_read_right(own: Queries) -> None:
    path = own.artifacts.directory / "neighbors.parquet"
    table = pl.read_parquet(path)
    expected = own.rows_of("neighbors", 7)
    table.sample(fraction=1, shuffle=True, seed=1).write_parquet(path)
    assert own.rows_of("neighbors", 7).sort("rank").equals(expected)


# Sorts, filters and searches.


def test_sorting_is_stable_with_absent_values_last(queries: Queries) -> None:
    table = queries.feature_table()
    for descending in (False, True):
        rows = queries.feature_rows(grid.View((grid.Sort("mean_active", descending),)), EVERYTHING).rows
        values = [row["mean_active"] for row in rows]
        known = [v for v in values if v is not None]
        assert known == sorted(known, reverse=descending)
        assert values[len(known) :] == [None] * (len(values) - len(known))
    assert table.height == len(rows)


@pytest.mark.parametrize(
    ("test", "value", "to", "passes"),
    [
        ("equals", 2.0, None, lambda v: v == 2),
        ("notEqual", 2.0, None, lambda v: v != 2),
        ("lessThan", 5.0, None, lambda v: v < 5),
        ("lessThanOrEqual", 5.0, None, lambda v: v <= 5),
        ("greaterThan", 5.0, None, lambda v: v > 5),
        ("greaterThanOrEqual", 5.0, None, lambda v: v >= 5),
        ("inRange", 3.0, 8.0, lambda v: 3 <= v <= 8),
    ],
)
def test_number_filters(queries: Queries, test: str, value: float, to: float | None, passes: object) -> None:
    view = grid.View(filters=(grid.Filter("feature", test, value, to),))
    found = [row["feature"] for row in queries.feature_rows(view, EVERYTHING).rows]
    assert found == [f for f in range(D_SAE) if passes(f)]


def test_filters_of_absence_and_text(queries: Queries) -> None:
    blank = queries.feature_rows(grid.View(filters=(grid.Filter("cluster", "blank"),)), EVERYTHING)
    assert [row["feature"] for row in blank.rows] == [f for f in range(D_SAE) if f % 4 == 0]
    label = queries.feature_rows(
        grid.View(filters=(grid.Filter("cluster", "contains", "LABEL1"),)), EVERYTHING
    )
    assert all("label1" in row["cluster"] for row in label.rows)
    assert label.n_rows > 0


def test_search_takes_text_literally_and_numbers_as_features(queries: Queries) -> None:
    for text in (".*", "[", "(", "<br>", "\\"):
        found = queries.feature_rows(grid.View(search=text), EVERYTHING).rows
        assert all(text in str(row["promotes"]) + str(row["tfidf"]) for row in found)
    assert 7 in [row["feature"] for row in queries.feature_rows(grid.View(search="7"), EVERYTHING).rows]


def test_pages_of_rows_join_to_the_whole(queries: Queries) -> None:
    view = grid.View((grid.Sort("max", True),))
    whole = queries.feature_rows(view, EVERYTHING).rows
    parts = [queries.feature_rows(view, range(a, a + 5)).rows for a in range(0, D_SAE, 5)]
    assert [row for part in parts for row in part] == whole

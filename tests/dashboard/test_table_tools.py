"""Around the feature table: columns, saved views, exports, the palette, bands of frequency."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dash import Dash
from hypothesis import given
from hypothesis import strategies as st

from dashboard import columns, grid
from dashboard.address import AddressError, parse, with_parameters
from dashboard.app import create_app
from dashboard.columns import COLUMNS, STANDARD
from dashboard.export import exported
from dashboard.finding import Destination, find
from dashboard.queries import Queries
from dashboard.questions.frequency import bands, dead_path, dense_path, distribution
from dashboard.saved_views import FILE, MOST_VIEWS, SavedViews
from precompute.errors import UsageError
from precompute.export.files import FORMATS, csv_pieces
from precompute.labels.content import Content
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts, make_artifacts
from tests.dashboard.test_app import SETTINGS

NAMES = [column.name for column in COLUMNS]


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


def asked(path: str) -> Any:
    return parse(*path.partition("?")[::2])


def features_at(queries: Queries, path: str) -> list[int]:
    """The features that the table lists at an address."""
    order = queries.feature_order(grid.view_of_address(asked(path)))
    return queries.feature_table()[order]["feature"].to_list()


# Columns.


@given(st.lists(st.sampled_from(NAMES), unique=True))
def test_a_choice_of_columns_survives_its_address(names: list[str]) -> None:
    shown = columns.chosen(",".join(names))
    assert set(shown) == {*names, "feature"}
    assert list(shown) == [name for name in NAMES if name in shown]
    again = columns.columns_parameter(shown).get(columns.COLUMNS_PARAMETER)
    assert columns.chosen(again) == shown


def test_the_usual_columns_leave_no_trace() -> None:
    assert columns.chosen(None) == STANDARD
    assert columns.columns_parameter(STANDARD) == {}
    with pytest.raises(AddressError, match="promotes"):
        columns.chosen("feature,__class__")


def test_every_column_has_its_artifact(queries: Queries) -> None:
    there = queries.feature_table().columns
    assert [name for name in NAMES if name not in there] == []


# Exports.


def test_an_export_holds_the_view(app: Dash, queries: Queries) -> None:
    query = "sort=max:desc&n_nonzero=greaterThan:0&columns=max,promotes"
    expected = exported(queries, asked(f"/features?{query}"))
    stats = queries.artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0)
    order = stats.sort("max", "feature", descending=[True, False])
    assert expected.columns == ["feature", "promotes", "max"]
    assert expected["feature"].to_list() == order["feature"].to_list()
    assert expected["max"].to_list() == order["max"].to_list()
    client = app.server.test_client()
    parquet = client.get(f"/features.parquet?{query}")
    assert "attachment" in parquet.headers["Content-Disposition"]
    assert pl.read_parquet(io.BytesIO(parquet.data)).equals(expected)
    read = pl.read_csv(io.BytesIO(client.get(f"/features.csv?{query}").data), infer_schema_length=None)
    assert read["feature"].to_list() == expected["feature"].to_list()
    assert read["max"].to_list() == expected["max"].to_list()


def test_an_export_of_no_view_gets_a_sentence(app: Dash) -> None:
    for ending in FORMATS:
        for query in ("max=eval", "columns=nope", "sort=max:up", "max=a&max=b", "search=" + "a" * 300):
            answer = app.server.test_client().get(f"/features.{ending}?{query}")
            assert answer.status_code == 400
            assert answer.text.startswith("lightwell: ")
            assert "expected" in answer.text or "once" in answer.text


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_no_cell_of_a_csv_is_a_formula(texts: list[str]) -> None:
    table = pl.DataFrame({"feature": range(len(texts)), "promotes": texts})
    written = b"".join(csv_pieces(table)).decode()
    rows = list(csv.reader(io.StringIO(written, newline="")))[1:]
    for text, (_, cell) in zip(texts, rows, strict=True):
        assert cell == (f"'{text}" if text.startswith(tuple("=+-@\t\r")) else text)


# Saved views.


def test_saved_views_are_kept_and_replaced(tmp_path: Path) -> None:
    views = SavedViews(tmp_path)
    assert views.listed() == ()
    views.save("loud", "?sort=max:desc&columns=feature,max")
    views.save("  Dense ", "?frac_active=greaterThan:0.1")
    views.save("loud", "?sort=max:asc")
    assert [(view.name, view.path) for view in SavedViews(tmp_path).listed()] == [
        ("Dense", "/features?frac_active=greaterThan:0.1"),
        ("loud", "/features?sort=max:asc"),
    ]
    views.remove("Dense")
    views.remove("never there")
    assert [view.name for view in views.listed()] == ["loud"]


@pytest.mark.parametrize("name", ["", "  ", None, 7, "a" * 61, "a\nb", "a\u202eb", ["x"]])
def test_views_need_a_name(tmp_path: Path, name: object) -> None:
    with pytest.raises(AddressError):
        SavedViews(tmp_path).save(name, "")


@pytest.mark.parametrize("search", ["?max=eval", "?columns=nope", 7, "?a=b", "?sort=nope"])
def test_only_views_are_saved(tmp_path: Path, search: object) -> None:
    with pytest.raises(AddressError):
        SavedViews(tmp_path).save("name", search)
    assert SavedViews(tmp_path).listed() == ()


def test_views_are_bounded_and_damage_is_said(tmp_path: Path) -> None:
    listed = [{"name": f"v{i}", "query": ""} for i in range(MOST_VIEWS)]
    (tmp_path / FILE).write_text(json.dumps({"views": listed}))
    with pytest.raises(AddressError, match="at most"):
        SavedViews(tmp_path).save("one more", "")
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UsageError, match=FILE):
        SavedViews(tmp_path).listed()


# The palette.


def hrefs(queries: Queries, text: str) -> list[str]:
    pages = [Destination("Features", "All features.", "/features")]
    return [found.href for found in find(queries, text, pages)]


def test_the_palette_finds_numbers_pages_and_tokens(queries: Queries) -> None:
    assert hrefs(queries, "")[0] == "/features"
    assert hrefs(queries, "7")[0] == "/feature/7"
    assert hrefs(queries, " 1 2 ")[0] == "/feature/12"
    assert hrefs(queries, "featu")[0] == "/features"
    first = queries.artifacts.table("influences").filter(pl.col("rank") < 3, direction="promotes")
    token = first.filter(pl.col("token").str.starts_with(" word"))["token"][0]
    promoters = {f"/feature/{feature}" for feature in first.filter(token=token)["feature"]}
    assert set(hrefs(queries, token.strip())[: len(promoters)]) <= promoters
    assert hrefs(queries, "no such thing anywhere") == []


@pytest.mark.parametrize("text", [None, 7, [], "a" * 300])
def test_odd_searches_get_a_sentence(queries: Queries, text: object) -> None:
    with pytest.raises(AddressError):
        find(queries, text, [])


def test_the_route_of_the_palette(app: Dash) -> None:
    client = app.server.test_client()
    found = client.get("/find.json?q=7").get_json()["found"]
    assert found[0]["href"] == "/feature/7"
    assert "at most" in client.get("/find.json?q=" + "a" * 300).get_json()["message"]
    for odd in ("%00", "(", "[", "\\", "%F0%9F%92%A9", "<script>"):
        assert client.get(f"/find.json?q={odd}").status_code == 200


# Bands of frequency.


def test_the_palette_knows_a_label_as_soon_as_it_is_written(
    unlabelled: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However tables are told apart: the address of one that is gone may be that of a later one.
    monkeypatch.setattr("dashboard.finding.id", lambda _: 7, raising=False)
    assert not find(unlabelled, "a sunken lane", [])
    unlabelled.labels.store.write(4, Content("a sunken lane"), "ann", None)
    assert [found.title for found in find(unlabelled, "a sunken lane", [])] == ["Feature 4"]


@pytest.fixture(scope="module")
def with_dead(tmp_path_factory: pytest.TempPathFactory) -> Queries:
    return Queries(make_artifacts(tmp_path_factory.mktemp("bands"), seed=11, n_examples=25))


def test_every_feature_is_in_the_band_that_counts_it(queries: Queries, with_dead: Queries) -> None:
    for asking in (queries, with_dead):
        found, seen = distribution(asking), []
        for band in bands(found):
            listed = features_at(asking, band.path)
            assert len(listed) == band.n_features
            seen += listed
        assert sorted(seen) == list(range(D_SAE))
        dense = features_at(asking, dense_path(found.dense_share))
        assert len(dense) == found.n_dense
        assert len(features_at(asking, dead_path())) == found.histogram.n_zero


def test_bands_are_dense_above_the_share(queries: Queries) -> None:
    found = distribution(queries)
    for band in bands(found):
        assert band.is_dense == (band.low > found.dense_share or math.isclose(band.low, found.dense_share))


def test_paths_of_bands_are_canonical(queries: Queries) -> None:
    for band in bands(distribution(queries)):
        view = grid.view_of_address(asked(band.path))
        assert with_parameters("/features", grid.parameters_of_view(view)) == band.path

"""The map shows each feature where the artifact says; what lights up is what was asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import map_figure
from dashboard.address import AddressError
from dashboard.components import map_panels, map_sets
from dashboard.pages import feature_map as page
from dashboard.queries import Queries
from dashboard.questions.feature_map import (
    COLOURS,
    categories,
    clusters,
    inside,
    lit,
    map_table,
    map_view,
    similarity,
)
from precompute.errors import LightwellError
from precompute.labels.content import Content
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts

SQUARE = "-1:-1,1:-1,1:1,-1:1"
SHARES = (0.0, 1e-5, 0.003, 0.2, None)


def unpacked(array: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])


def view(queries: Queries, **chosen: object) -> Any:
    return map_view(queries, chosen)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_feature_is_at_its_place(queries: Queries, artifacts: PlainArtifacts, colour: str) -> None:
    figure = map_panels.figure(queries, view(queries, colour=colour, feature=3))
    table = artifacts.table("feature_map").sort("feature")
    every = figure["data"][map_figure.ALL]
    np.testing.assert_allclose(unpacked(every["x"]), table["x"], rtol=1e-6)
    np.testing.assert_allclose(unpacked(every["y"]), table["y"], rtol=1e-6)
    assert every["customdata"] == table["feature"].to_list()
    assert every["type"] == "scattergl"
    assert json.loads(json.dumps(figure)) == figure
    drawn = go.Figure(figure)
    assert drawn.layout.xaxis.title.text
    assert drawn.layout.yaxis.title.text


def test_colours_of_clusters(queries: Queries) -> None:
    points = map_table(queries)
    paint = map_figure.by_cluster(points)
    assert [colour for _, colour in paint.scale] == [map_figure.SILENT, *map_figure.PALETTE]
    for value, cluster in zip(paint.values, points["cluster"], strict=True):
        assert (value == 0) == (cluster < 0)
        assert paint.lowest <= value <= paint.highest
    same = points.with_columns(value=paint.values).group_by("cluster").agg(pl.col("value").n_unique())
    assert same["value"].to_list() == [1] * same.height


@given(st.lists(st.sampled_from(SHARES) | st.floats(1e-6, 1), min_size=1, max_size=40))
def test_colours_of_frequencies_grow_with_them(shares: list[float | None]) -> None:
    points = pl.DataFrame({"frac_active": pl.Series(shares, dtype=pl.Float64)})
    paint = map_figure.by_frequency(points)
    known = np.array([share or 0 for share in shares])
    assert np.all(np.diff(paint.values[np.argsort(known, kind="stable")]) >= 0)
    assert np.all(paint.values[known == 0] == np.float32(paint.lowest))
    assert np.all(paint.values <= np.float32(paint.highest) + 1e-5)
    stops = [stop for stop, _ in paint.scale]
    assert stops[0] == 0
    assert stops[-1] == pytest.approx(1)
    assert stops == sorted(stops)


def test_similarity_is_the_cosine(queries: Queries, artifacts: PlainArtifacts) -> None:
    directions = artifacts.array("directions").astype(float)
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(similarity(queries, 5), unit @ unit[5], atol=1e-6)
    table = lit(queries, view(queries, feature=5))
    np.testing.assert_allclose(table["similarity"], (unit @ unit[5])[table["feature"]], atol=1e-6)


def test_what_lights_up(queries: Queries) -> None:
    table = map_table(queries)
    assert lit(queries, view(queries)).height == D_SAE
    assert lit(queries, view(queries, search="7"))["feature"].to_list().count(7) == 1
    for cluster in clusters(queries)["cluster"]:
        found = lit(queries, view(queries, cluster=str(cluster)))
        assert found["feature"].to_list() == table.filter(cluster=cluster)["feature"].to_list()
    in_square = table.filter(pl.col("x").is_between(-1, 1), pl.col("y").is_between(-1, 1))
    assert lit(queries, view(queries, area=SQUARE))["feature"].to_list() == in_square["feature"].to_list()
    both = lit(queries, view(queries, area=SQUARE, cluster=1))
    assert both["feature"].to_list() == in_square.filter(cluster=1)["feature"].to_list()


def test_what_lights_up_is_drawn(queries: Queries) -> None:
    chosen = view(queries, area=SQUARE, feature=4)
    data = map_panels.figure(queries, chosen)["data"]
    expected = lit(queries, chosen)["feature"].to_list()
    assert data[map_figure.LIT]["customdata"] == expected
    assert data[map_figure.ALL]["marker"]["opacity"] == map_figure.DIMMED
    place = map_table(queries).filter(feature=4).row(0, named=True)
    assert (data[map_figure.SELECTED]["x"], data[map_figure.SELECTED]["y"]) == ([place["x"]], [place["y"]])
    assert len(data[map_figure.AREA]["x"]) == 5
    assert str(len(expected)) in map_panels.summary(queries, chosen)


corners = st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=3, max_size=8)


@settings(max_examples=60)
@given(corners, st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=20))
def test_inside_agrees_with_counting_crossings_one_by_one(area: Any, points: Any) -> None:
    def slow(x: float, y: float) -> bool:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(area, [*area[1:], area[0]], strict=True):
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                crossings += 1
        return crossings % 2 == 1

    x, y = (np.array(values) for values in zip(*points, strict=True))
    assert inside(x, y, tuple(area)).tolist() == [slow(a, b) for a, b in points]


def test_a_point_without_a_place_lies_nowhere() -> None:
    nowhere = np.array([np.nan, 0.0], dtype=np.float32)
    assert inside(nowhere, np.zeros(2, np.float32), ((-1, -1), (1, -1), (0, 1))).tolist() == [False, True]


@pytest.mark.parametrize(
    "chosen",
    [
        {"colour": "nope"},
        {"feature": -1},
        {"feature": D_SAE},
        {"feature": 1.5},
        {"search": "x" * 300},
        {"cluster": "99"},
        {"cluster": "-1"},
        {"cluster": [1]},
        {"area": "0:0,1:1"},
        {"area": "0:0,1:1,nan:1"},
        {"area": "0:0,1:1,1e999:1"},
        {"area": "0:0,1:1,1"},
        {"area": ",".join(["0:0"] * 101)},
        {"area": [[0, 0]]},
    ],
)
def test_odd_views_are_refused(queries: Queries, chosen: dict[str, object]) -> None:
    with pytest.raises(AddressError, match="expected"):
        map_view(queries, chosen)


def test_rows_are_those_that_light_up_the_most_similar_first(queries: Queries) -> None:
    request = {"startRow": 0, "endRow": 100, "sortModel": []}
    answer = page.answer(queries, request, (4, "", None, None, SQUARE))
    chosen = view(queries, feature=4, area=SQUARE)
    expected = lit(queries, chosen).sort("similarity", "feature", descending=[True, False])
    assert [row["feature"] for row in answer["rowData"]] == expected["feature"].to_list()
    assert answer["rowCount"] == expected.height
    assert page.answer(queries, request, (-4, "", None, None, None))["rowCount"] == 0


def test_colouring_by_similarity_asks_for_a_feature(queries: Queries) -> None:
    assert "Select a feature" in map_panels.summary(queries, view(queries, colour="similarity"))
    assert "No feature fits" in map_panels.summary(queries, view(queries, search="nothing-is-like-this"))


def test_categories_of_labels_colour_their_features_and_more_than_the_colours_share_the_last(
    unlabelled: Queries,
) -> None:
    assert "No feature has a label yet" in map_panels.summary(unlabelled, view(unlabelled, colour="category"))
    store = unlabelled.labels.store
    n_categories = len(map_figure.PALETTE) + 2
    for feature in range(n_categories):
        store.write(feature, Content("a label", f"kind {feature:02d}"), "ann", None)
    store.write(n_categories, Content("another", "kind 00"), "ann", None)
    store.write(n_categories + 1, Content(notes="only a note"), "ann", None)
    found = categories(unlabelled)
    assert next(iter(found)) == "kind 00"
    assert found["kind 00"].tolist() == [0, n_categories]
    points = map_table(unlabelled)
    paint = map_figure.by_category(points, found)
    value = dict(zip(points["feature"], paint.values.tolist(), strict=True))
    assert value[0] == value[n_categories] == 1
    assert value[n_categories + 1] == 0
    assert value[n_categories - 1] == value[n_categories - 2] == len(map_figure.PALETTE)
    assert paint.ticks["ticktext"][:2] == ["no label", "kind 00"]
    assert paint.ticks["ticktext"][-1] == "3 more"
    go.Figure(map_panels.figure(unlabelled, view(unlabelled, colour="category")))


def test_what_lights_up_is_kept_as_a_set_that_lights_up_again(unlabelled: Queries) -> None:
    chosen = (None, "", None, None, SQUARE)
    words, known = map_sets.make(unlabelled, "middle", "ann", chosen)
    inside_it = lit(unlabelled, view(unlabelled, area=SQUARE))["feature"].to_list()
    assert words == f"Made “middle”: {len(inside_it)} features."
    assert [entry["value"] for entry in known] == ["middle"]
    assert lit(unlabelled, view(unlabelled, set="middle"))["feature"].to_list() == inside_it
    assert "a set's name" in map_sets.make(unlabelled, "", "ann", chosen)[0]
    for name in ("none such", 7, ["middle"]):
        with pytest.raises(LightwellError):
            view(unlabelled, set=name)

"""The map of statements shows each where the artifact says; what lights up and its features are as asked."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from dash import Dash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dashboard import map_figure, raster, statement_figure
from dashboard.address import Address, AddressError
from dashboard.app import create_app
from dashboard.components import statement_map, statement_panels
from dashboard.components.embedding_states import outdated_set
from dashboard.components.opened_statement import brief
from dashboard.embedded import OpenedSet
from dashboard.pages import embeddings as page
from dashboard.queries import Queries
from dashboard.questions import statement_features, statements
from dashboard.questions.feature_map import inside
from dashboard.raster import Window
from dashboard.settings import DashboardSettings
from precompute.errors import ArtifactMissingError, LightwellError
from precompute.export.files import FORMATS, as_json
from tests import builders
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts, make_artifacts
from tests.dashboard.made_embeddings import NAME, make_embeddings

PLACE = {"model": NAME.model, "size": NAME.size}
SQUARE = "-4:-4,4:-4,4:4,-4:4"
NOTHING: tuple[object, ...] = ("cluster", None, "", "", None, "")


class WithExamples(PlainArtifacts):
    """Artifacts with the features of each example."""

    def fingerprint(self, step: str) -> str:
        return "made" if step == "example_features" else super().fingerprint(step)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """Artifacts with an embedding set: the corpus's texts, each second one twice, and others."""
    found = make_artifacts(tmp_path_factory.mktemp("data") / "precomputed_test")
    write_example_features(found)
    corpus = pl.read_parquet(found.directory / "corpus.parquet")["text"].to_list()
    others = [f"Another Text about {i} things" for i in range(40)]
    make_embeddings(found.subject.data_dir, [*corpus, *others, *corpus[::2], "", "two\nlines <b>"])
    return WithExamples(found.subject)


def write_example_features(artifacts: PlainArtifacts) -> None:
    """As the step does, in the plainest way."""
    dense = builders.dense_matrix(artifacts.row_store())
    store = artifacts.row_store()
    owners = store.locate(np.arange(store.n_rows)).example
    greatest = np.zeros((store.n_examples, dense.shape[1]), np.float32)
    np.maximum.at(greatest, owners, dense)
    example, feature = np.nonzero(greatest)
    directory = artifacts.directory / "example_features"
    directory.mkdir()
    counts = np.bincount(example, minlength=store.n_examples)
    np.save(directory / "indptr.npy", np.concatenate([[0], np.cumsum(counts)]))
    np.save(directory / "features.npy", feature.astype(np.uint16))
    np.save(directory / "max_acts.npy", greatest[example, feature])
    np.save(directory / "counts.npy", np.ones(len(feature), np.uint32))


@pytest.fixture(scope="module")
def queries(artifacts: PlainArtifacts) -> Queries:
    return Queries(artifacts)


@pytest.fixture(scope="module")
def opened(queries: Queries) -> OpenedSet:
    return statements.set_of(queries, PLACE)


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(DashboardSettings(model_type="test"), artifacts)


def view(queries: Queries, opened: OpenedSet, **chosen: object) -> Any:
    return statements.statement_view(queries, opened, chosen)


def unpacked(array: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])


def greatest_by_text(artifacts: PlainArtifacts) -> dict[str, np.ndarray]:
    """By text: the greatest activation of each feature over its windows, from the dense store."""
    store = artifacts.row_store()
    dense, owners = builders.dense_matrix(store), store.locate(np.arange(store.n_rows)).example
    windows = pl.read_parquet(artifacts.directory / "windows.parquet")["text_index"].to_list()
    corpus = pl.read_parquet(artifacts.directory / "corpus.parquet")
    texts = dict(corpus.select("text_index", "text").iter_rows())
    found: dict[str, np.ndarray] = {texts[i]: np.zeros(dense.shape[1], np.float32) for i in windows}
    for row, example in enumerate(owners):
        text = texts[windows[example]]
        found[text] = np.maximum(found[text], dense[row])
    return found


# Where statements are, and in which colours.


def test_every_statement_is_at_its_place_and_a_points_number_is_its_row(
    queries: Queries, opened: OpenedSet
) -> None:
    table = opened.embedded.table("map")
    for colour in statements.colours(opened):
        drawn = statement_map.shown(queries, opened, view(queries, opened, colour=colour), None)
        every = statement_figure.figure(drawn)["data"][map_figure.ALL]
        np.testing.assert_allclose(unpacked(every["x"]), table["x"].cast(pl.Float32))
        np.testing.assert_allclose(unpacked(every["y"]), table["y"].cast(pl.Float32))
        assert len(unpacked(every["marker"]["color"])) == opened.n
        assert every["type"] == "scattergl"
        assert "text" not in every


def test_no_text_of_a_statement_is_in_the_figure(queries: Queries, opened: OpenedSet) -> None:
    drawn = statement_map.shown(queries, opened, view(queries, opened), None)
    assert "Another" not in json.dumps(statement_figure.figure(drawn))


@given(st.lists(st.none() | st.sampled_from([f"kind {i}" for i in range(20)]), min_size=1, max_size=80))
def test_kinds_have_a_colour_each_the_rare_ones_share_the_last(values: list[str | None]) -> None:
    found = statement_figure.by_kind(pl.Series("v", values, dtype=pl.String), "none")
    assert sum(kind.n for kind in found.legend) == len(values)
    rgb = statement_figure.rgb(found.painted)
    by_name = {kind.name: kind for kind in found.legend}
    for value, colour in zip(values, rgb, strict=True):
        others = found.legend[-2 if None in values and len(found.legend) > 1 else -1]
        kind = by_name.get("none" if value is None else value, others)
        assert "#" + "".join(f"{part:02x}" for part in colour) == kind.colour
        if value in by_name and value is not None:
            assert by_name[value].n == values.count(value)


@given(
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-5, 1e6) | st.just(np.nan)), st.booleans()
)
def test_colours_of_numbers_grow_with_them(values: np.ndarray, log_scale: bool) -> None:
    paint = statement_figure.by_number(values, "title", log_scale).painted
    usable = np.isfinite(values) & ((values > 0) | (not log_scale))
    shown = paint.values[usable][np.argsort(values[usable], kind="stable")]
    assert np.all(np.diff(shown) >= 0)
    assert np.all(
        (paint.values >= paint.lowest - 1e-3) & (paint.values <= paint.highest + abs(paint.highest) * 1e-6)
    )
    if (~usable).any() and usable.any():
        assert paint.values[~usable].max() < paint.values[usable].min()


def test_density_weights_are_those_of_the_sets_own_graph(queries: Queries, opened: OpenedSet) -> None:
    rows, cosine = opened.graph.rows, opened.graph.cosine
    distance = 1 - np.asarray(cosine, float).mean(axis=1)
    slow = distance / distance.sum()
    assert slow.max() < 10 / len(rows)
    expected = (0.9 * slow + 0.1 / len(rows)) * len(rows)
    of_first = dict(zip(rows.tolist(), expected, strict=True))
    np.testing.assert_allclose(
        statements.density(queries, opened), [of_first[int(first)] for first in opened.first_rows], rtol=1e-6
    )


# What lights up.


def test_what_lights_up(queries: Queries, opened: OpenedSet) -> None:
    texts = opened.column("text").to_list()
    table = opened.points

    def rows(**chosen: object) -> list[int]:
        return statements.lit(queries, opened, view(queries, opened, **chosen)).tolist()  # type: ignore[union-attr]

    assert statements.lit(queries, opened, view(queries, opened)) is None
    assert rows(search="another text") == [
        i for i, text in enumerate(texts) if "another text" in text.lower()
    ]
    assert rows(cluster="3") == table.filter(cluster=3)["row"].to_list()
    in_square = table.filter(pl.col("x").is_between(-4, 4), pl.col("y").is_between(-4, 4))["row"].to_list()
    assert rows(area=SQUARE) == in_square
    assert rows(area=SQUARE, cluster=3) == [i for i in rows(cluster=3) if i in in_square]


def test_a_search_by_meaning_lights_up_the_nearest_and_lists_them_first(
    queries: Queries, opened: OpenedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.asarray(opened.embedded.vectors, dtype=float)
    query = vectors[5].astype(np.float32)
    monkeypatch.setattr(queries.embedders, "vector", lambda _set, _text: query)
    monkeypatch.setattr(statements, "MEANING_ROWS", 9)
    chosen = view(queries, opened, meaning="like five")
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
    nearest = np.lexsort((np.arange(opened.n), -cosines.astype(np.float32)))[:9]
    assert sorted(nearest.tolist()) == statements.lit(queries, opened, chosen).tolist()  # type: ignore[union-attr]
    given = ("cluster", None, "", "like five", None, "")
    answer = page.answer(queries, {"startRow": 0, "endRow": 50}, given, PLACE)
    np.testing.assert_allclose(
        [row["cosine"] for row in answer["rowData"]], np.sort(cosines)[::-1][:9], atol=1e-5
    )


def test_rows_of_the_table_have_their_texts(queries: Queries, opened: OpenedSet) -> None:
    request = {"startRow": 2, "endRow": 30, "sortModel": [{"colId": "weight", "sort": "desc"}]}
    answer = page.answer(queries, request, ("cluster", 3, "", "", None, SQUARE), PLACE)
    chosen = view(queries, opened, feature=3, area=SQUARE)
    table = statements.listed(queries, opened, chosen).sort("weight", "row", descending=[True, False])[2:30]
    assert [row["row"] for row in answer["rowData"]] == table["row"].to_list()
    assert answer["rowCount"] == len(statements.lit(queries, opened, chosen))  # type: ignore[arg-type]
    texts = opened.column("text")
    for row in answer["rowData"]:
        assert row["text"] == brief(texts[row["row"]])
        assert row["source"] == opened.column("source")[row["row"]]
    assert page.answer(queries, request, NOTHING, {"model": "no"})["rowCount"] == 0


@pytest.mark.parametrize(
    "chosen",
    [
        {"colour": "nope"},
        {"colour": "column:nope"},
        {"feature": D_SAE},
        {"search": "x" * 300},
        {"meaning": "x" * 300},
        {"meaning": ["x"]},
        {"cluster": "99"},
        {"cluster": [1]},
        {"area": "0:0,1:1"},
    ],
)
def test_odd_views_are_refused(queries: Queries, opened: OpenedSet, chosen: dict[str, object]) -> None:
    with pytest.raises(AddressError, match="expected"):
        view(queries, opened, **chosen)


@pytest.mark.parametrize("parameters", [{"model": "no"}, {"size": "huge"}, {"model": ["demo"]}, {"size": 3}])
def test_odd_sets_are_refused(queries: Queries, parameters: dict[str, object]) -> None:
    with pytest.raises(AddressError, match="expected"):
        queries.embedded.name(parameters)


@pytest.mark.parametrize("row", [-1, 10**6, "x", 1.5, [], True])
def test_odd_rows_are_refused(opened: OpenedSet, row: object) -> None:
    with pytest.raises(AddressError, match="row"):
        statements.known_row(opened, row)


# Features of statements.


def test_activations_on_statements_are_those_of_the_store(
    queries: Queries, opened: OpenedSet, artifacts: PlainArtifacts
) -> None:
    known = greatest_by_text(artifacts)
    texts = opened.column("text").to_list()
    for feature in range(0, D_SAE, 5):
        acts = statement_features.activation(queries, opened, feature)
        expected = [known[text][feature] if text in known else np.nan for text in texts]
        np.testing.assert_allclose(acts, expected, rtol=1e-6)
    read = statement_features.texts_read(queries, opened)
    assert read.tolist() == [text in known for text in texts]
    assert 0 < read.sum() < len(read)


def test_what_sets_a_selection_apart(queries: Queries, opened: OpenedSet, artifacts: PlainArtifacts) -> None:
    known, texts = greatest_by_text(artifacts), opened.column("text").to_list()
    rows = statements.lit(queries, opened, view(queries, opened, area="0:-99,99:-99,99:99,0:99"))
    assert rows is not None
    inside_texts = {texts[row] for row in rows}
    groups = [[known[t] > 0 for t in known if (t in inside_texts) is lit] for lit in (True, False)]
    found = statement_features.apart(queries, opened, rows)
    assert (found.n_inside, found.n_outside) == tuple(len(group) for group in groups)
    p, q = (np.mean(group, axis=0) for group in groups)
    effect = 2 * np.arcsin(np.sqrt(p)) - 2 * np.arcsin(np.sqrt(q))
    table = found.table
    np.testing.assert_allclose(table["inside"], p[table["feature"]])
    np.testing.assert_allclose(table["outside"], q[table["feature"]])
    np.testing.assert_allclose(table["effect"], effect[table["feature"]])
    more = table.filter(pl.col("effect") > 0)["effect"].to_numpy()
    assert np.all(np.diff(more) <= 0)
    assert more[0] == pytest.approx(effect.max())
    assert table["effect"].min() == pytest.approx(effect.min())
    assert (table["low"] <= table["difference"]).all()
    assert (table["high"] >= table["difference"]).all()


def test_the_strongest_features_of_a_statement(
    queries: Queries, opened: OpenedSet, artifacts: PlainArtifacts
) -> None:
    known, texts = greatest_by_text(artifacts), opened.column("text").to_list()
    row = next(i for i, text in enumerate(texts) if text in known and known[text].any())
    found = statement_features.strongest(queries, opened, row)
    assert found.from_store
    assert found.n_firing == int((known[texts[row]] > 0).sum())
    np.testing.assert_allclose(found.maxima, known[texts[row]][found.features])
    assert found.maxima[0] == pytest.approx(float(known[texts[row]].max()))


def test_the_nearest_statements_are_those_of_the_graph(opened: OpenedSet) -> None:
    vectors, first = np.asarray(opened.embedded.vectors, float), opened.first_rows
    row = int(np.flatnonzero(first != np.arange(opened.n))[0])
    near = statements.nearest(opened, row)
    cosines = vectors @ vectors[row]
    distinct = [i for i in np.flatnonzero(first == np.arange(opened.n)) if i != first[row]]
    expected = sorted(distinct, key=lambda i: (-cosines[i], i))[: len(near.rows)]
    assert near.rows == expected
    np.testing.assert_allclose(near.cosines, cosines[expected], atol=1e-5)
    assert near.texts == opened.column("text")[expected].to_list()
    assert int(first[row]) in statements.same_text(opened, row)


# Many points: an image.


points = hnp.arrays(np.float32, st.integers(0, 60), elements=st.floats(-2, 2, width=32) | st.just(np.nan))


@settings(max_examples=80)
@given(points, st.randoms(use_true_random=False), st.integers(1, 6), st.integers(1, 5))
def test_an_image_counts_every_point_in_its_cell(x: np.ndarray, random: Any, wide: int, high: int) -> None:
    y = np.array([random.uniform(-2, 2) for _ in x], dtype=np.float32)
    colours = np.array([[random.randrange(256) for _ in range(3)] for _ in x], np.uint8).reshape(-1, 3)
    window = Window(-1, 1.5, -1.25, 1, wide, high)
    found = raster.image(x, y, colours, window)
    cells: dict[tuple[int, int], list[int]] = {}
    for i in range(len(x)):
        if -1 <= x[i] <= 1.5 and -1.25 <= y[i] <= 1:
            column = min(int((x[i] - np.float32(-1)) / np.float32(2.5) * wide), wide - 1)
            row = min(int((np.float32(1) - y[i]) / np.float32(2.25) * high), high - 1)
            cells.setdefault((row, column), []).append(i)
    for row in range(high):
        for column in range(wide):
            inside_cell = cells.get((row, column), [])
            assert (found[row, column, 3] > 0) == bool(inside_cell)
            if inside_cell:
                np.testing.assert_array_equal(
                    found[row, column, :3], np.rint(colours[inside_cell].mean(axis=0))
                )


def test_an_image_is_a_png_of_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    png = base64.b64decode(raster.data_address(pixels).partition(",")[2])
    assert png.startswith(b"\x89PNG")
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind], at = data, at + 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (7, 5, 8, 6, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, 29)
    assert not lines[:, 0].any()
    np.testing.assert_array_equal(lines[:, 1:].reshape(5, 7, 4), pixels)


def test_many_points_are_an_image_and_few_in_view_are_points(
    queries: Queries, opened: OpenedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_map, "MOST_POINTS", 20)
    monkeypatch.setattr(statement_figure, "MOST_IN_VIEW", 15)
    drawn = statement_map.shown(queries, opened, view(queries, opened, area=SQUARE), 4)
    figure = statement_figure.figure(drawn)
    assert figure["layout"]["images"][0]["source"].startswith("data:image/png")
    whole = statement_figure.whole(*drawn.places)
    assert len(raster.cells(*drawn.places, whole)[0]) == opened.n
    x, y = opened.places
    few = Window(float(x[7]) - 0.2, float(x[7]) + 0.2, float(y[7]) - 0.2, float(y[7]) + 0.2, 10, 10)
    rows = np.flatnonzero(
        inside(x, y, ((few.left, few.low), (few.right, few.low), (few.right, few.high), (few.left, few.high)))
    )
    assert 0 < len(rows) <= 15
    seen = statement_figure.at_window(drawn, few)[map_figure.ALL]
    assert unpacked(seen["meta"]["rows"]).tolist() == rows.tolist()
    np.testing.assert_allclose(unpacked(seen["x"]), x[rows])


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"x": [0, 1], "y": [1, 0], "pixels": [9, 9]},
        {"x": "a"},
        4,
        {"x": [0, 1], "y": [0, 1], "pixels": [1e9, 3]},
    ],
)
def test_odd_windows_are_refused(value: object) -> None:
    with pytest.raises(AddressError, match="a view"):
        statement_figure.window_of(value)


# The page.


def test_what_lights_up_is_exported_whole(queries: Queries, opened: OpenedSet, app: Dash) -> None:
    query = {**PLACE, "area": SQUARE}
    body = app.server.test_client().get("/embeddings.parquet", query_string=query).data
    table = pl.read_parquet(io.BytesIO(body))
    rows = statements.lit(queries, opened, view(queries, opened, area=SQUARE))
    assert table["row"].to_list() == rows.tolist()  # type: ignore[union-attr]
    assert table["text"].to_list() == opened.column("text").gather(rows).to_list()  # type: ignore[arg-type]
    assert {"x", "y", "cluster", "weight", "source", "text_id"} <= set(table.columns)
    for ending in FORMATS:
        answer = app.server.test_client().get(f"/embeddings.{ending}", query_string={**PLACE, "cluster": "x"})
        assert answer.status_code == 400
        assert "expected" in answer.text


@given(st.lists(st.none() | st.lists(st.text(max_size=30), max_size=30), max_size=6))
def test_nested_columns_are_exported_as_json(values: list[list[str] | None]) -> None:
    written = as_json(pl.Series("authors", values, dtype=pl.List(pl.String)))
    assert [None if text is None else json.loads(text) for text in written] == values
    records = [{"names": value, "n": i} for i, value in enumerate(values)]
    kind = pl.Struct({"names": pl.List(pl.String), "n": pl.Int64})
    assert [json.loads(text) for text in as_json(pl.Series("of", records, dtype=kind))] == records


def test_a_point_tells_its_text(app: Dash, opened: OpenedSet) -> None:
    client = app.server.test_client()
    last = opened.n - 1
    found = client.get("/embeddings/text", query_string={**PLACE, "row": str(last)}).json
    assert found == {"row": last, "text": "two lines <b>"}
    assert client.get("/embeddings/text", query_string={**PLACE, "row": "x"}).status_code == 400


def test_a_set_that_is_not_there_says_how_it_is_computed(queries: Queries) -> None:
    shown = json.dumps(
        page.layout(queries, Address("/embeddings", {"size": "full"})).to_plotly_json(), default=str
    )
    assert "--dataset-size full" in shown
    assert "precompute.embeddings map" in shown
    with pytest.raises(ArtifactMissingError):
        statements.set_of(queries, {"size": "full"})


def test_what_cannot_be_compared_is_said_to_be_outdated_and_nothing_is_computed_for_it(
    queries: Queries, artifacts: PlainArtifacts
) -> None:
    """Judging a set must not read the whole documentation of this machine."""
    states = queries.embedded.statuses(NAME)
    assert [state.state for state in states] == ["stale"] * 3
    assert "snapshot" in states[0].reason
    assert not (artifacts.subject.data_dir / "corpus_builtin").exists()
    assert "snapshot" in str(outdated_set(queries, NAME))


def test_errors_of_the_model_are_sentences(
    queries: Queries, opened: OpenedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise LightwellError("the model is away")

    monkeypatch.setattr(queries.embedders, "vector", fails)
    chosen = view(queries, opened, meaning="never asked before")
    shown = statement_map.said_of(lambda: statement_panels.apart_panel(queries, opened, chosen))
    assert "The model is away" in str(shown)


def test_what_a_page_asks_of_a_set_is_answered(app: Dash) -> None:
    """The button of a set: that it is needed, and nothing in its way that belongs to model types."""
    told = app.server.test_client().get("/jobs/state", query_string={"ask": "embeddings:demo:tiny/*"}).json
    view = told["asks"]["embeddings:demo:tiny/*"]
    assert view["needed"]
    assert not view["blocked"]
    assert view["job"] is None
    odd = app.server.test_client().get("/jobs/state", query_string={"ask": "embeddings:demo:tiny/idf"})
    assert odd.status_code == 400

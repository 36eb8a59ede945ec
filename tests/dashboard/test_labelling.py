"""Labels in the dashboard: in the table, in the queue, edited, imported; forged requests get a sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from dash import Dash
from hypothesis import given
from hypothesis import strategies as st

from dashboard import grid
from dashboard.address import AddressError, parse
from dashboard.app import create_app
from dashboard.labelling import editing, review_queue, set_making
from dashboard.labelling.import_desk import MOST_WAITING, ImportDesk, read_side
from dashboard.labelling.listed import progress, said_rows
from dashboard.labelling.text import shown
from dashboard.queries import Queries
from dashboard.security import LONGEST_BODY, LONGEST_UPLOAD, Guard
from dashboard.settings import DashboardSettings
from precompute.errors import LabelError, LightwellError
from precompute.labels.content import Content
from tests.builders import SILENT
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts, make_artifacts, plain_artifacts
from tests.dashboard.test_app import page

NEWEST = grid.View(sorts=(grid.Sort("edited", descending=True),))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that every test looks at."""
    directory = tmp_path_factory.mktemp("made") / "precomputed_test"
    directory.mkdir()
    make_artifacts(directory)
    return directory


@pytest.fixture
def artifacts(made: Path, tmp_path: Path) -> PlainArtifacts:
    """The same artifacts in a data directory that has no label yet."""
    (tmp_path / "precomputed_test").symlink_to(made)
    return plain_artifacts(tmp_path / "precomputed_test")


@pytest.fixture
def queries(artifacts: PlainArtifacts) -> Queries:
    return Queries(artifacts, author="ann")


@pytest.fixture
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(DashboardSettings(model_type="test"), artifacts)


def write(queries: Queries, feature: int, content: Content, author: str = "ann") -> None:
    now = queries.labels.entry(feature)
    queries.labels.store.write(feature, content, author, now.uid if now else None)


# In the table.


def test_the_table_shows_and_finds_what_was_just_written(queries: Queries) -> None:
    before = queries.feature_table()
    assert before.filter(pl.col("label").is_not_null()).is_empty()
    write(queries, 7, Content("Closing brackets", "syntax", 80, "a note about zebras"))
    for search in ("brackets", "SYNTAX", "zebra"):
        found = queries.feature_rows(grid.View(search=search), range(10)).rows
        assert [row["feature"] for row in found] == [7], search
    view = grid.view_of_address(parse("/features", "?confidence=greaterThan:70&label=notBlank"))
    row = queries.feature_rows(view, range(10)).rows[0]
    assert (row["label"], row["category"], row["confidence"]) == ("Closing brackets", "syntax", 80)
    assert (
        queries.feature_table()
        .drop("label", "category", "confidence", "notes", "author", "edited")
        .equals(before.drop("label", "category", "confidence", "notes", "author", "edited"))
    )
    write(queries, 7, Content())
    assert queries.feature_rows(grid.View(search="zebra"), range(10)).n_rows == 0


def test_another_process_is_seen_at_once(queries: Queries, artifacts: PlainArtifacts) -> None:
    queries.feature_table()
    other = Queries(artifacts, author="bo")
    write(other, 3, Content("from elsewhere"), "bo")
    assert queries.labels.text(3) == "from elsewhere"
    assert queries.feature_table().filter(feature=3)["author"].to_list() == ["bo"]


def test_damaged_labels_take_nothing_else_away(queries: Queries, artifacts: PlainArtifacts) -> None:
    (artifacts.subject.data_dir / "labels.sqlite").write_bytes(b"no database" * 500)
    assert queries.feature_table().height == D_SAE
    assert queries.labels.short(3) == ""
    app = create_app(DashboardSettings(model_type="test"), artifacts)
    assert "cannot be used" in page(app, "/feature/3")
    assert '"feature-title"' in page(app, "/feature/3")
    assert "cannot be used" in page(app, "/labels")


def test_a_set_filters_the_table_and_follows_its_changes(queries: Queries) -> None:
    queries.labels.create_set("mine", [5, 1, 5])
    view = grid.view_of_address(parse("/features", "?set=mine&sort=feature:desc"))
    assert grid.parameters_of_view(view) == {"sort": "feature:desc", "set": "mine"}
    assert [row["feature"] for row in queries.feature_rows(view, range(9)).rows] == [5, 1]
    queries.labels.set_store.change("mine", "ann", add=[9], remove=[1])
    assert [row["feature"] for row in queries.feature_rows(view, range(9)).rows] == [9, 5]
    with pytest.raises(LabelError, match="no set"):
        queries.feature_order(grid.View(members="nope"))
    with pytest.raises(LabelError, match="feature 24"):
        queries.labels.create_set("wrong", [D_SAE])


# The review queue.


@pytest.mark.parametrize("queue", ["frequency", "max", "kurtosis", "random:7"])
def test_a_queue_passes_every_firing_feature_once_and_skips_labelled_ones(
    queries: Queries, queue: str
) -> None:
    table = queries.feature_table()
    firing = set(table.filter(pl.col("n_nonzero") > 0)["feature"])
    order = review_queue.ordered(queries, queue).tolist()
    assert set(order) == firing
    assert len(order) == len(firing)
    if queue in review_queue.ORDERS:
        values = dict(table.select("feature", review_queue.ORDERS[queue][1]).iter_rows())
        assert sorted(order, key=lambda f: (-values[f], f)) == order
    visited, feature = [], order[0]
    while feature is not None:
        visited.append(feature)
        left = review_queue.place(queries, queue, feature).n_left
        assert left == len(order) - len(visited) + 1
        write(queries, feature, Content(f"label {feature}"))
        feature = review_queue.place(queries, queue, feature).next
    assert visited == order


def test_notes_alone_leave_a_feature_in_the_queue(queries: Queries) -> None:
    first = int(review_queue.unlabelled(queries, "max")[0])
    write(queries, first, Content(notes="look again"))
    assert review_queue.unlabelled(queries, "max")[0] == first


@pytest.mark.parametrize("name", ["", "nope", "random:", "random:-1", "random:12345678", None, 3, ["max"]])
def test_an_unknown_queue_is_refused(name: object) -> None:
    with pytest.raises(AddressError, match="queue"):
        review_queue.known_queue(name)


def test_progress_counts_what_is_said(queries: Queries) -> None:
    firing = review_queue.ordered(queries, "max").tolist()
    write(queries, firing[0], Content("a", confidence=40))
    write(queries, firing[1], Content("b", confidence=80))
    write(queries, firing[2], Content(notes="c"), "bo")
    write(queries, SILENT, Content("d"))
    write(queries, firing[3], Content("gone"))
    write(queries, firing[3], Content())
    found = progress(queries)
    assert (found.n_labelled, found.n_silent, found.n_noted, found.n_authors) == (2, 1, 1, 2)
    assert (found.mean_confidence, found.n_firing) == (60, len(firing))
    listed = said_rows(queries, NEWEST, range(10))
    assert {row["feature"] for row in listed.rows} == {*firing[:3], SILENT}
    assert said_rows(queries, grid.View(search="d"), range(10)).n_rows >= 1


# Editing.


def test_fields_that_say_nothing_new_write_nothing(queries: Queries) -> None:
    done = editing.write(queries.labels, 3, ["a", "", "", ""], None, "ann")
    assert done.has_changed
    base = editing.said(done.entry)
    assert not editing.write(queries.labels, 3, ["a", "", None, ""], base, "ann").has_changed
    assert len(queries.labels.store.history(3)) == 1
    assert not editing.write(queries.labels, 4, ["", "", "", ""], editing.said(None), "ann").has_changed


def test_a_conflict_writes_nothing_until_one_chooses(queries: Queries) -> None:
    base = editing.said(editing.write(queries.labels, 3, ["a", "", "", ""], None, "ann").entry)
    editing.write(queries.labels, 3, ["hers", "", "", ""], base, "ann")
    clash = editing.write(queries.labels, 3, ["his", "", 70, ""], base, "bo").conflict
    assert clash is not None
    assert clash.clashing == ("label",)
    assert queries.labels.entry(3).content == Content("hers")
    order = {"act": "mine", "uid": clash.theirs.uid, "label": "his", "confidence": 70}
    assert editing.act(queries.labels, 3, order, "bo").entry.content == Content("his", confidence=70)
    assert editing.act(queries.labels, 3, {"act": "undo"}, "bo").entry.content == Content("hers")
    history = queries.labels.store.history(3)
    again = {"act": "theirs", "uid": history[-1].uid, "label": "his, again"}
    assert editing.act(queries.labels, 3, again, "bo").entry.content == Content("hers")
    assert "his, again" in [change.content.label for change in queries.labels.store.history(3)]
    taken = editing.act(queries.labels, 3, {"act": "take back", "uid": history[1].uid}, "bo")
    assert taken.entry.content.label == "a"


@pytest.mark.parametrize("confidence", [101, -1, 0.5, True, "x", [], {}, float("nan")])
def test_forged_confidences_are_refused(queries: Queries, confidence: object) -> None:
    with pytest.raises(LightwellError, match="expected"):
        editing.write(queries.labels, 3, ["a", "", confidence, ""], None, "ann")
    assert queries.labels.store.history(3) == ()


def test_sets_of_a_feature_change_by_what_was_added_and_taken_away(queries: Queries) -> None:
    labels = queries.labels
    editing.put_into_sets(labels, 3, [], ["a", "b"], "ann")
    labels.create_set("c", [3])  # Another tab; this one shows a and b.
    editing.put_into_sets(labels, 3, ["a", "b"], ["b", "d"], "ann")
    assert editing.sets_of(labels, 3) == ["b", "c", "d"]
    for forged in (None, "a", [3], {"a": 1}, ["x"] * 1001, ["x" * 81]):
        with pytest.raises(LightwellError):
            editing.put_into_sets(labels, 3, [], forged, "ann")
    assert editing.sets_of(labels, 3) == ["b", "c", "d"]


EDIT = '..{"feature":3,"type":"label-said"}.data...{"feature":3,"type":"label-about"}.children...' + (
    '{"feature":3,"type":"label-clash"}.children..'
)


def edit(app: Dash, feature: object, values: list[object], base: object, author: object = "ann") -> Any:
    """Save as a browser does, or as somebody who forges what a browser sends."""

    def ident(name: str) -> dict[str, Any]:
        return {"feature": feature, "type": f"label-{name}"}

    names = ("label", "category", "confidence", "notes")
    body = {
        "output": EDIT.replace('"feature":3', '"feature":["MATCH"]'),
        "outputs": [
            {"id": ident(name), "property": prop}
            for name, prop in (("said", "data"), ("about", "children"), ("clash", "children"))
        ],
        "inputs": [
            *({"id": ident(n), "property": "value", "value": v} for n, v in zip(names, values, strict=True)),
            {"id": ident("act"), "property": "data", "value": None},
        ],
        "state": [
            {"id": ident("base"), "property": "data", "value": base},
            {"id": "label-author", "property": "value", "value": author},
        ],
        "changedPropIds": [f"{json.dumps(ident('label'), sort_keys=True, separators=(',', ':'))}.value"],
    }
    return app.server.test_client().post("/_dash-update-component", json=body)


@pytest.mark.parametrize(
    ("feature", "values", "base", "author"),
    [
        (-1, ["a", "", "", ""], None, "ann"),
        (D_SAE, ["a", "", "", ""], None, "ann"),
        ("7; DROP TABLE change", ["a", "", "", ""], None, "ann"),
        (3, [{"a": 1}, "", "", ""], None, "ann"),
        (3, ["a", [], "", ""], None, "ann"),
        (3, ["a", "", 1e99, ""], None, "ann"),
        (3, ["x" * 201, "", "", ""], None, "ann"),
        (3, ["", "", "", "x" * 10_001], None, "ann"),
        (3, ["\ud800", "", "", ""], None, "ann"),
        (3, ["a", "", "", ""], {"uid": 5}, "ann"),
        (3, ["a", "", "", ""], {"uid": "no such change"}, "ann"),
        (3, ["a", "", "", ""], None, 5),
        (3, ["a", "", "", ""], None, "x" * 81),
    ],
)
def test_forged_edits_get_a_sentence_and_write_nothing(
    app: Dash, feature: object, values: list[object], base: object, author: object
) -> None:
    answer = edit(app, feature, values, base, author)
    assert answer.status_code == 200
    assert "expected" in answer.json["sideUpdate"]["notice"]["children"]["props"]["children"]
    assert app.server.config["QUERIES"].labels.said() == ()


def test_an_edit_through_the_app(app: Dash) -> None:
    answer = edit(app, 3, ["<img src=x>\u202e", "", 50, ""], None).json["response"]
    said = answer['{"feature":3,"type":"label-said"}']["data"]
    assert (said["label"], said["confidence"]) == ("<img src=x>\u202e", 50)
    assert "⟨U+202E⟩" in json.dumps(answer, ensure_ascii=False)
    shown_page = page(app, "/feature/3", "?queue=max")
    assert "next-unlabelled" in shown_page
    assert "dangerously" not in shown_page.lower()
    assert "expected" in page(app, "/feature/3", "?queue=worst")


# Sets by numbers.


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))))
def test_typed_numbers_and_ranges(pairs: list[tuple[int, int]]) -> None:
    text = ", ".join(f"{a} - {b}" if a != b else f"{a}" for a, b in pairs)
    expected = sorted({f for a, b in pairs for f in range(a, b + 1)})
    assert set_making.typed_features(text, 51) == expected


@pytest.mark.parametrize("text", ["x", "1.5", "51", "1-51", "1--2", "-3", None, 7, "1," * 60_000, "１"])
def test_typed_nonsense_is_refused(text: object) -> None:
    with pytest.raises(AddressError, match="expected"):
        set_making.typed_features(text, 51)


def test_a_set_of_a_view_has_all_its_rows(queries: Queries) -> None:
    table = queries.feature_table()
    wanted = set(table.filter(pl.col("max") > table["max"].median())["feature"])
    search = f"?max=greaterThan:{table['max'].median()!r}&columns=feature,max"
    assert set(set_making.asked_features(queries, {"search": search})) == wanted
    made = set_making.put(queries, "strong", sorted(wanted), "ann")
    assert (made.n_features, made.is_new) == (len(wanted), True)
    again = set_making.put(queries, "strong", [*wanted, 0], "ann")
    assert not again.is_new
    assert set(queries.labels.set_features("strong")) == wanted | {0}
    for forged in ({"features": []}, {"features": [D_SAE]}, {"features": "1"}, {"search": "?max=nope"}):
        with pytest.raises(LightwellError):
            set_making.asked_features(queries, forged)


# Files.


def test_export_through_the_app_neutralises_formulas(app: Dash) -> None:
    queries = app.server.config["QUERIES"]
    write(queries, 3, Content('=HYPERLINK("http://evil")', "+1", None, "@x"))
    raw = app.server.test_client().get("/labels.csv")
    (row,) = csv.DictReader(io.StringIO(raw.data.decode("utf-8-sig")))
    assert [row[name][0] for name in ("label", "category", "notes")] == ["'"] * 3
    assert "attachment" in raw.headers["Content-Disposition"]
    table = app.server.test_client().get("/features.csv?columns=feature,label&label=notBlank").text
    assert table.splitlines()[1].startswith("3,\"'=HYPERLINK")
    history = app.server.test_client().get("/labels.json").json
    assert history["changes"][0]["label"] == '=HYPERLINK("http://evil")'


def test_a_file_waits_until_its_conflicts_are_decided(queries: Queries) -> None:
    write(queries, 3, Content("ours"))
    desk = ImportDesk(queries)
    token = desk.put("x.csv", b"feature,label\n3,theirs\n4,new\n", "bo")
    assert desk.take_in(token, {}, None, "ann").undecided, "nobody has looked yet"
    _, cases = desk.look(token)
    assert [case.kind for case in cases] == ["conflict", "added"]
    write(queries, 3, Content("ours, changed meanwhile"))
    assert desk.take_in(token, {3: "theirs"}, None, "ann").undecided
    assert queries.labels.text(4) == ""
    desk.look(token)
    desk.take_in(token, {}, "theirs", "ann")
    assert {f: queries.labels.text(f) for f in (3, 4)} == {3: "theirs", 4: "new"}
    for _ in range(MOST_WAITING):
        desk.put("y.csv", b"feature\n", "bo")
    for gone in (token, None, 3, {"a": 1}, "../x"):
        with pytest.raises(LabelError, match="again"):
            desk.get(gone)


def test_files_are_sent_as_they_are(app: Dash) -> None:
    send = app.server.test_client().post
    good = send("/labels/import", data=b"feature,label\n3,x\n", headers={"X-File-Name": "%3Cb%3E.csv"}).json
    assert len(good["token"]) == 32
    for raw, reason in (
        (b"\xff\xfe", "UTF-8"),
        (b"", "feature"),
        (b"[]", "something else"),
        (b"PK\x03", "`feature`"),
    ):
        assert reason in send("/labels/import", data=raw).json["problem"]
    assert app.server.config["QUERIES"].labels.said() == ()


@pytest.mark.parametrize(
    ("path", "longest"), [("/ultra/labels/import", LONGEST_UPLOAD), ("/ultra/_dash", LONGEST_BODY)]
)
def test_only_uploads_may_be_large(path: str, longest: int) -> None:
    guard = Guard(lambda *_: [], ["localhost"])
    environ = {"HTTP_HOST": "localhost", "REQUEST_METHOD": "POST", "PATH_INFO": path}
    assert guard.refusal({**environ, "CONTENT_LENGTH": str(longest)}) is None
    assert guard.refusal({**environ, "CONTENT_LENGTH": str(longest + 1)}).status == 413


@pytest.mark.parametrize("value", ["ours", 1, ["mine"], {"a": 1}])
def test_forged_choices_are_refused(value: object) -> None:
    with pytest.raises(AddressError, match="mine or theirs"):
        read_side(value)


@pytest.mark.parametrize(
    "search", ["?queue=nope", "?queue=max&queue=max", "?sort=nope:desc", "?set=" + "x" * 300, "?label=near:x"]
)
def test_odd_addresses_of_the_labels_page(app: Dash, search: str) -> None:
    assert "expected" in page(app, "/labels", search)


def test_forged_requests_to_sets(app: Dash) -> None:
    for asked in (None, 5, {"act": "drop"}, {"act": "remove", "of": "nope"}, {"act": "undo", "of": "1" * 40}):
        inputs = {"set-act.data": asked}
        output = "..sets.children...sets-told.children.."
        body = {
            "output": output,
            "outputs": [{"id": "sets", "property": "children"}, {"id": "sets-told", "property": "children"}],
            "inputs": [{"id": "set-act", "property": "data", "value": inputs["set-act.data"]}, []],
            "state": [{"id": "label-author", "property": "value", "value": "ann"}],
            "changedPropIds": ["set-act.data"],
        }
        answer = app.server.test_client().post("/_dash-update-component", json=body)
        assert answer.status_code == 200
        assert "expected" in answer.json["response"]["sets-told"]["children"]


@given(st.text(max_size=40), st.integers(1, 20))
def test_what_is_shown_is_visible_and_of_bounded_length(text: str, longest: int) -> None:
    found = shown(text, longest)
    assert all(char.isprintable() for char in found)
    assert len(text) > longest or "…" not in found.replace("…", "", text.count("…"))


def test_a_label_of_the_longest_kind_is_cut_in_cells_and_kept_whole(queries: Queries) -> None:
    notes = "word " * 2000
    write(queries, 3, Content("x" * 200, notes=notes))
    row = queries.feature_rows(grid.View(search="xxx"), range(3)).rows[0]
    assert len(row["notes"]) <= 300
    assert queries.labels.entry(3).content.notes == notes
    assert len(queries.labels.short(3)) <= 28
    assert np.isfinite(row["max"])

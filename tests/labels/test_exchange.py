"""Files of labels: export then import is identity, merging loses nothing, bad files are refused."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.errors import LabelError
from precompute.labels.content import Change, Content, read_time, spelled_time
from precompute.labels.database import Database
from precompute.labels.exchange import as_json, read_json
from precompute.labels.merge import Decision, Merged
from precompute.labels.spreadsheet import FORMULA_SIGNS, as_csv, neutral, read_csv, restored
from precompute.labels.store import LabelConflictError, LabelStore

TEXT = st.text(st.characters(codec="utf-8"), max_size=10) | st.sampled_from(
    ["=1+1", "'=1", "'", "a\r\nb", "\x00"]
)
CONTENTS = st.builds(Content, TEXT, TEXT, st.none() | st.integers(0, 100), TEXT)
EDITS = st.lists(st.tuples(st.integers(0, 3), CONTENTS), max_size=5)
FEW = settings(max_examples=20)


def store(directory: Path, sae: str = "sae") -> LabelStore:
    return LabelStore(Database(directory), sae)


def labelled(directory: Path, edits: Iterable[tuple[int, Content]], author: str = "ann") -> LabelStore:
    own = store(directory)
    for feature, content in edits:
        now = own.entry(feature)
        own.write(feature, content, author, now.uid if now else None)
    return own


def exported(own: LabelStore) -> bytes:
    return as_json(own.sae, own.changes()).encode()


def table(own: LabelStore) -> bytes:
    return ("\ufeff" + as_csv(own.sae, own.current().values())).encode()


def plain(changes: Iterable[Change]) -> list[Change]:
    """Without what is of one data directory."""
    return [replace(change, number=0, batch=0, actor="") for change in changes]


def said(own: LabelStore) -> dict[int, Content]:
    return {f: c.content for f, c in own.current().items() if not c.content.is_empty}


def take_in(own: LabelStore, raw: bytes, keep: str = "theirs") -> Merged:
    offers = read_json(raw, own.sae)
    decisions = {
        case.feature: Decision(keep, case.mine.uid, case.theirs.content)
        for case in own.judge(offers)
        if case.kind == "conflict"
    }
    return own.merge(offers, decisions, "importer")


@FEW
@given(EDITS)
def test_export_then_import_is_identity(edits: list[tuple[int, Content]]) -> None:
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        own, other = labelled(Path(a), edits), store(Path(b))
        other.merge(read_json(exported(own), "sae"), {}, "bo")
        by_feature = sorted(plain(own.changes()), key=lambda change: change.feature)
        assert plain(other.changes()) == by_feature
        assert read_json(exported(other), "sae") == read_json(exported(own), "sae")
        again = own.merge(read_json(exported(other), "sae"), {}, "ann")
        assert again.changes == ()


@FEW
@given(EDITS)
def test_a_table_then_import_is_identity(edits: list[tuple[int, Content]]) -> None:
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        own, other = labelled(Path(a), edits), store(Path(b))
        other.merge(read_csv(table(own), "sae", "bo", 5), {}, "bo")
        kept = {f: c for f, c in own.current().items() if not c.content.is_empty}
        assert {c.feature: (c.content, c.author, c.time, c.uid) for c in other.current().values()} == {
            f: (c.content, c.author, c.time, c.uid) for f, c in kept.items()
        }
        assert table(other) == table(own)
        assert own.merge(read_csv(table(other), "sae", "bo", 5), {}, "ann").changes == ()


@FEW
@given(EDITS, EDITS, EDITS)
def test_merging_is_commutative_and_loses_nothing(
    common: list[tuple[int, Content]], hers: list[tuple[int, Content]], his: list[tuple[int, Content]]
) -> None:
    """Two people who began from the same labels; in conflicts his text is taken."""
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        ann = labelled(Path(a), common, "ann")
        bo = store(Path(b))
        take_in(bo, exported(ann))
        labelled(Path(a), hers, "ann")
        labelled(Path(b), his, "bo")
        before = {change.uid for own in (ann, bo) for change in own.changes()}
        from_ann, from_bo = exported(ann), exported(bo)
        conflicts = {c.feature for c in ann.judge(read_json(from_bo, "sae")) if c.kind == "conflict"}
        assert conflicts == {c.feature for c in bo.judge(read_json(from_ann, "sae")) if c.kind == "conflict"}
        take_in(ann, from_bo, "theirs")
        take_in(bo, from_ann, "mine")
        assert said(ann) == said(bo)
        for own in (ann, bo):
            assert before <= {change.uid for change in own.changes()}
        # They go on exchanging, and come to rest with equal labels.
        for _ in range(2):
            take_in(ann, exported(bo))
            take_in(bo, exported(ann))
        assert said(ann) == said(bo)
        assert {c.uid for c in ann.changes()} == {c.uid for c in bo.changes()}
        assert take_in(ann, exported(bo)).changes == ()


def test_an_update_of_what_one_had_is_no_conflict(tmp_path: Path) -> None:
    ann = labelled(tmp_path / "a", [(1, Content("one"))])
    bo = store(tmp_path / "b")
    take_in(bo, exported(ann))
    old = exported(ann)
    bo.write(1, Content("one, better"), "bo", bo.entry(1).uid)
    (case,) = ann.judge(read_json(exported(bo), "sae"))
    assert case.kind == "updated"
    (case,) = bo.judge(read_json(old, "sae"))
    assert case.kind == "known"
    take_in(bo, old)
    assert bo.entry(1).content.label == "one, better"


def test_a_merge_with_an_open_conflict_writes_nothing(tmp_path: Path) -> None:
    ann = labelled(tmp_path / "a", [(1, Content("one"))])
    bo = labelled(tmp_path / "b", [(1, Content("uno")), (2, Content("due"))], "bo")
    offers = read_json(exported(bo), "sae")
    done = ann.merge(offers, {}, "ann")
    assert [case.feature for case in done.undecided] == [1]
    assert said(ann) == {1: Content("one")}
    decided = {1: Decision("mine", ann.entry(1).uid, Content("uno"))}
    ann.write(1, Content("one!"), "ann", ann.entry(1).uid)
    assert ann.merge(offers, decided, "ann").undecided, "decided of a text that is no more"
    decided = {1: Decision("mine", ann.entry(1).uid, Content("uno"))}
    ann.merge(offers, decided, "ann")
    assert said(ann) == {1: Content("one!"), 2: Content("due")}
    assert [change.content.label for change in ann.history(1)] == ["one", "one!", "uno", "one!"]


def test_a_whole_import_is_undone_at_once(tmp_path: Path) -> None:
    ann = labelled(tmp_path / "a", [(1, Content("one"))])
    bo = labelled(tmp_path / "b", [(f, Content(f"{f}")) for f in range(2, 6)], "bo")
    take_in(ann, exported(bo))
    assert len(ann.undo_last("importer")) == 4
    assert said(ann) == {1: Content("one")}
    take_in(ann, exported(labelled(tmp_path / "c", [(7, Content("x")), (8, Content("y"))], "cy")))
    ann.write(8, Content("z"), "ann", ann.entry(8).uid)
    with pytest.raises(LabelConflictError):
        ann.undo_last("importer")
    assert said(ann) == {1: Content("one"), 7: Content("x"), 8: Content("z")}


def test_rows_edited_in_a_spreadsheet_are_changes_of_the_one_who_imports(tmp_path: Path) -> None:
    ann = labelled(tmp_path / "a", [(1, Content("one")), (2, Content("two")), (3, Content("three"))])
    rows = list(csv.DictReader(io.StringIO(table(ann).decode("utf-8-sig"))))
    rows[0]["label"], rows[1]["label"] = "=better", "second"
    ann.write(2, Content("two!"), "ann", ann.entry(2).uid)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    offers = read_csv(text.getvalue().encode(), "sae", "cy", 77)
    assert [case.kind for case in ann.judge(offers)] == ["updated", "conflict", "known"]
    assert offers[0].changes[0].author == "cy"
    assert offers[0].changes[0].content.label == "=better"


def test_a_plain_table_of_ones_own(tmp_path: Path) -> None:
    own = store(tmp_path)
    raw = b"Label,feature\nclosing brackets,3\n'ere,4\n"
    own.merge(read_csv(raw, "sae", "ann", 5), {}, "ann")
    assert said(own) == {3: Content("closing brackets"), 4: Content("'ere")}
    assert own.entry(3).author == "ann"


@given(TEXT)
def test_formulas_are_neutralised_and_restored(text: str) -> None:
    assert restored(neutral(text)) == text
    assert neutral(text)[:1] not in FORMULA_SIGNS


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    texts = [f"{sign}HYPERLINK(1)" for sign in sorted(FORMULA_SIGNS)]
    own = labelled(tmp_path, [(i, Content(t, t, None, t)) for i, t in enumerate(texts)], "=author()")
    for row in csv.reader(io.StringIO(table(own).decode("utf-8-sig"), newline="")):
        assert [cell for cell in row if cell[:1] in FORMULA_SIGNS] == []


HEAD = '{"format": "lightwell labels", "version": 1, "sae": "sae", "changes": [\n'
GOOD = '{"feature": 1, "label": "a", "author": "ann", "time": "2025-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "Expecting value"),
        ("[]", 1, "something else"),
        ("{", 1, "double quotes"),
        (HEAD.replace('"sae": "sae"', '"sae": "other"') + "]}", 1, "labels of the SAE"),
        (HEAD.replace("1,", "2,", 1) + "]}", 1, "version 2"),
        (HEAD + GOOD + ",\n" + GOOD.replace("1", "99999", 1) + "]}", 3, "feature 99999"),
        (HEAD + GOOD + ",\n\n" + GOOD + "]}", 4, "a second time"),
        (HEAD + GOOD.replace('"a"', "5") + "]}", 2, "type int"),
        (HEAD + GOOD.replace('"a"', '"\\ud800"') + "]}", 2, "half a character"),
        (HEAD + GOOD.replace("2025-01-01", "yesterday") + "]}", 2, "the time"),
        (HEAD + GOOD.replace('"label"', '"lable"') + "]}", 2, "unknown key"),
        (HEAD + GOOD.replace("}", ', "id": "0"}') + "]}", 2, "an id"),
        (HEAD + GOOD.replace("}", ', "confidence": 0.5}') + "]}", 2, "confidence"),
        (HEAD + GOOD + ",\n3]}", 3, "int as a change"),
        (HEAD + GOOD + ",\n{]}", 3, "double quotes"),
        ("[" * 100_000, 1, "JSON"),
        (HEAD + GOOD.replace("1", "9" * 5000, 1) + "]}", 1, "JSON"),
    ],
)
def test_bad_json_is_refused_with_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(LabelError, match=f"^line {line}: .*{reason}.*nothing of it was imported"):
        read_json(text.encode(), "sae", 24)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "feature"),
        ("label\nx\n", 1, "feature"),
        ("feature,lable\n1,x\n", 1, "lable"),
        ("feature,label,label\n1,x,y\n", 1, "twice"),
        ("feature,label\n1,x\n2\n", 3, "1 cells"),
        ("feature,label\n1,x\n1,y\n", 3, "second time"),
        ('feature,label\n1,"two\nlines"\n99,y\n', 4, "feature 99"),
        ("feature,label\n-1,y\n", 2, "feature"),
        ("feature,label\n1.5,y\n", 2, "feature"),
        ("feature,confidence\n1,150\n", 2, "confidence"),
        ("feature,confidence\n1,high\n", 2, "confidence"),
        ("feature,time\n1,soon\n", 2, "time"),
        ("feature,sae\n1,other\n", 2, "labels of the SAE"),
        ("feature,version\n1,old\n", 2, "version"),
        ("feature,label\n1," + "x" * 201 + "\n", 2, "201 characters"),
        ('feature,label\n1,"x\n', 2, "CSV"),
    ],
)
def test_a_bad_table_is_refused_with_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(LabelError, match=f"^line {line}: .*{reason}.*nothing of it was imported"):
        read_csv(text.encode(), "sae", "ann", 5, 24)


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(LabelError, match=r"^line 3: byte 0xff"):
        read_csv(b"feature,label\n1,a\n2,\xff\n", "sae", "ann", 5)


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_survive_their_spelling(time: int) -> None:
    assert read_time(spelled_time(time)) == time


def test_one_change_is_one_line(tmp_path: Path) -> None:
    raw = exported(labelled(tmp_path, [(1, Content("a\nb")), (2, Content("c"))]))
    assert len(raw.splitlines()) == 4
    assert json.loads(raw)["changes"][0]["label"] == "a\nb"

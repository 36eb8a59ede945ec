"""The store against a plain model: what is said now, the whole history, undo, writers at the same time."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from precompute.errors import LabelError
from precompute.labels.content import FIELDS, Content, change_of
from precompute.labels.database import Database
from precompute.labels.merge import Offer
from precompute.labels.store import LabelConflictError, LabelStore

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
CONTENTS = st.builds(Content, TEXT, TEXT, st.none() | st.integers(0, 100), TEXT)
FEATURES = st.integers(0, 3)
AUTHORS = st.sampled_from(["ann", "bo", "כ\u200b"])


def store(directory: Path, sae: str = "sae") -> LabelStore:
    return LabelStore(Database(directory), sae)


class Labelling(RuleBasedStateMachine):
    """Two stores on one file, as two processes have, against a list of contents for each feature."""

    bases = Bundle("bases")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.stores = [store(Path(self.directory.name)) for _ in range(2)]
        self.other = store(Path(self.directory.name), "another sae")
        self.model: dict[int, list[Content]] = {}
        self.uids: dict[int, list[str]] = {}

    def teardown(self) -> None:
        self.directory.cleanup()

    def expected(self, feature: int, began: Content, wanted: Content) -> Content | None:
        """What a three-way join by fields gives; None for a conflict."""
        now = self.model.get(feature, [Content()])[-1]
        joined = {}
        for name in FIELDS:
            ours, theirs, old = getattr(wanted, name), getattr(now, name), getattr(began, name)
            if ours != old and theirs not in (old, ours):
                return None
            joined[name] = theirs if ours == old else ours
        return Content(**joined)

    def written(self, feature: int, uid: str, content: Content) -> None:
        if content != self.model.get(feature, [Content()])[-1]:
            self.model.setdefault(feature, []).append(content)
            self.uids.setdefault(feature, []).append(uid)

    @rule(which=st.integers(0, 1), feature=FEATURES, content=CONTENTS, author=AUTHORS, back=st.integers(0, 3))
    def write(self, which: int, feature: int, content: Content, author: str, back: int) -> None:
        """Write from the present state, or from one that is some changes old."""
        history = self.uids.get(feature, [])
        place = len(history) - 1 - back
        base = history[place] if place >= 0 else None
        began = self.model[feature][place] if place >= 0 else Content()
        wanted = self.expected(feature, began, content)
        if wanted is None:
            with pytest.raises(LabelConflictError) as caught:
                self.stores[which].write(feature, content, author, base)
            assert caught.value.theirs.content == self.model[feature][-1]
            assert caught.value.clashing
            return
        done = self.stores[which].write(feature, content, author, base)
        assert (done.content if done else Content()) == wanted
        if done:
            self.written(feature, done.uid, wanted)

    @rule(which=st.integers(0, 1), feature=FEATURES, place=st.integers(0, 5), author=AUTHORS)
    def undo(self, which: int, feature: int, place: int, author: str) -> None:
        history = self.uids.get(feature, [])
        if place >= len(history):
            return
        own = self.model[feature][place]
        before = self.model[feature][place - 1] if place else Content()
        wanted = self.expected(feature, own, before)
        if wanted is None:
            with pytest.raises(LabelConflictError):
                self.stores[which].undo(history[place], author)
            return
        done = self.stores[which].undo(history[place], author)
        assert done.undoes == history[place]
        self.model[feature].append(wanted)
        self.uids[feature].append(done.uid)

    @rule(which=st.integers(0, 1), feature=FEATURES, content=CONTENTS, author=AUTHORS)
    def decline(self, which: int, feature: int, content: Content, author: str) -> None:
        if feature not in self.uids:
            return
        kept = self.model[feature][-1]
        self.stores[which].decline(feature, content, author, self.uids[feature][-1])
        written = self.stores[which].history(feature)[-2:]
        self.model[feature] += [content, kept]
        self.uids[feature] += [change.uid for change in written]

    @invariant()
    def both_see_all(self) -> None:
        for own in self.stores:
            assert {f: c.content for f, c in own.current().items()} == {
                f: contents[-1] for f, contents in self.model.items()
            }
            for feature, contents in self.model.items():
                history = own.history(feature)
                assert [change.content for change in history] == contents
                assert [change.uid for change in history] == self.uids[feature]
                assert len({change.uid for change in history}) == len(history)
            assert own.version() == sum(map(len, self.model.values()))

    @invariant()
    def other_saes_see_nothing(self) -> None:
        assert self.other.current() == {}
        assert self.other.version() == 0


TestLabelling = Labelling.TestCase
TestLabelling.settings = settings(max_examples=25, stateful_step_count=15)


def test_nothing_is_created_by_looking(tmp_path: Path) -> None:
    own = store(tmp_path / "data")
    assert (own.version(), own.current(), own.history(3), own.entry(3)) == (0, {}, (), None)
    assert not (tmp_path / "data").exists()


def test_the_files_are_private(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        store(tmp_path).write(1, Content("a"), "ann", None)
    finally:
        os.umask(mask)
    files = list(tmp_path.iterdir())
    assert [path.name for path in files if path.name == "labels.sqlite"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_history_only_grows(tmp_path: Path) -> None:
    store(tmp_path).write(1, Content("a"), "ann", None)
    connection = sqlite3.connect(tmp_path / "labels.sqlite")
    for asked in ("UPDATE change SET label = 'b'", "DELETE FROM change"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            connection.execute(asked)
    connection.close()


def test_undo_of_ones_last_change_passes_over_those_of_others_and_over_undone_ones(tmp_path: Path) -> None:
    own = store(tmp_path)
    first = own.write(1, Content("one"), "ann", None)
    own.write(2, Content("two"), "ann", None)
    own.write(2, Content("two", "kind"), "bo", own.entry(2).uid)
    (undone,) = own.undo_last("ann")
    assert (undone.feature, undone.content, undone.kind) == (2, Content("", "kind"), "undo")
    (undone,) = own.undo_last("ann")
    assert (undone.feature, undone.undoes) == (1, first.uid)
    with pytest.raises(LabelError, match="to undo"):
        own.undo_last("ann")
    assert own.entry(1).content == Content()
    own.undo(undone.uid, "bo")
    assert own.entry(1).content == Content("one")


def test_undo_goes_on_to_what_was_written_before_a_text_that_was_given_up(tmp_path: Path) -> None:
    own = store(tmp_path)
    own.write(1, Content("one"), "ann", None)
    base = own.write(2, Content("two"), "ann", None)
    theirs = own.write(2, Content("theirs"), "bo", base.uid)
    own.decline(2, Content("mine"), "ann", theirs.uid)
    own.undo_last("ann")
    assert own.entry(2).content == Content("theirs")
    with pytest.raises(LabelConflictError):  # of "two", which is theirs by now
        own.undo_last("ann")
    own.undo_last("ann", 1)
    assert own.entry(1).content == Content()


def test_undo_of_ones_last_change_of_one_feature(tmp_path: Path) -> None:
    own = store(tmp_path)
    own.write(1, Content("one"), "ann", None)
    own.write(2, Content("two"), "ann", None)
    own.undo_last("ann", 1)
    assert {f: c.content.label for f, c in own.current().items()} == {1: "", 2: "two"}


def test_one_action_is_undone_whole_or_not_at_all(tmp_path: Path) -> None:
    own = store(tmp_path)
    offers = [Offer(f, (change_of("sae", f, Content(f"{f}"), "cy", 5),)) for f in (1, 2)]
    batch = own.merge(offers, {}, "ann").changes[0].batch
    own.write(2, Content("2!"), "bo", own.entry(2).uid)
    with pytest.raises(LabelConflictError):
        own.undo_batch(batch, "ann")
    assert own.entry(1).content == Content("1")
    own.undo_last("bo")
    own.undo_batch(batch, "ann")
    assert {c.content for c in own.current().values()} == {Content()}
    with pytest.raises(LabelError, match="no action"):
        own.undo_batch(-1, "ann")


@pytest.mark.parametrize(
    "content",
    [
        Content("x" * 201),
        Content(category="x" * 61),
        Content(notes="x" * 10_001),
        Content("\ud800"),
        Content(confidence=101),
        Content(confidence=-1),
        Content(confidence=0.5),
        Content(confidence=True),
        Content(label=3),
        Content(notes=None),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, content: Content) -> None:
    with pytest.raises(LabelError, match="expected"):
        store(tmp_path).write(1, content, "ann", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("author", ["", "  ", "x" * 81, None, 3])
def test_authors_have_names(tmp_path: Path, author: object) -> None:
    with pytest.raises(LabelError, match="author"):
        store(tmp_path).write(1, Content("a"), author, None)


@pytest.mark.parametrize("feature", [-1, "1", True, 2**31, None, 1.0])
def test_features_are_numbers(tmp_path: Path, feature: object) -> None:
    with pytest.raises(LabelError, match="whole number"):
        store(tmp_path).write(feature, Content("a"), "ann", None)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "labels.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(LabelError, match="cannot be used"):
        store(tmp_path).version()


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    store(tmp_path).write(1, Content("a"), "ann", None)
    connection = sqlite3.connect(tmp_path / "labels.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LabelError, match="format 99"):
        store(tmp_path).version()


def test_a_copy_of_the_one_file_is_whole_and_can_be_put_in_its_place(tmp_path: Path) -> None:
    own, other = store(tmp_path / "a"), store(tmp_path / "b")
    own.write(1, Content("here"), "ann", None)
    other.write(1, Content("there"), "ann", None)
    shutil.copy(tmp_path / "b" / "labels.sqlite", tmp_path / "copy")
    (tmp_path / "copy").replace(tmp_path / "a" / "labels.sqlite")
    assert own.entry(1).content.label == "there"


def test_threads_lose_nothing(tmp_path: Path) -> None:
    own = store(tmp_path)

    def work(number: int) -> None:
        for i in range(20):
            own.write(number * 100 + i, Content(f"{number}"), "ann", None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(own.current()) == 80


def _append(directory: str, name: str, n: int) -> None:
    """Write to one feature again and again, whatever others write to it."""
    own = store(Path(directory))
    for i in range(n):
        while True:
            now = own.entry(7)
            content = replace(now.content if now else Content(), notes=f"{name}{i}")
            try:
                own.write(7, content, name, now.uid if now else None)
                break
            except LabelConflictError:
                continue


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """From the very first write, which makes the file."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_append, args=(str(tmp_path), name, 25)) for name in ("ann", "bo", "cy")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    history = store(tmp_path).history(7)
    assert sorted(change.content.notes for change in history) == sorted(
        f"{name}{i}" for name in ("ann", "bo", "cy") for i in range(25)
    )
    assert [change.number for change in history] == list(range(1, 76))
    assert not list(tmp_path.glob(".tmp-*"))


KILLED = """
import sys
from pathlib import Path
from precompute.labels.content import Content
from precompute.labels.database import Database
from precompute.labels.merge import Offer
from precompute.labels.content import change_of
from precompute.labels.store import LabelStore
own = LabelStore(Database(Path(sys.argv[1])), "sae")
print("ready", flush=True)
for i in range(10_000):
    own.merge([Offer(f, (change_of("sae", f, Content(f"{i}-{f}"), "ann", i * 1000 + f),)) for f in
               range(i * 50, i * 50 + 50)], {}, "ann")
"""


@pytest.mark.parametrize("delay", [0.05, 0.11, 0.23])
def test_a_killed_writer_leaves_the_database_whole(tmp_path: Path, delay: float) -> None:
    """Each write is of 50 features: there are as many as whole writes, and the next writer goes on."""
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "ready\n"
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    own = store(tmp_path)
    assert len(own.current()) % 50 == 0
    assert {change.content.label.split("-")[1] for change in own.current().values()} == {
        str(feature) for feature in own.current()
    }
    own.write(1_000_000, Content("after"), "ann", None)
    connection = sqlite3.connect(tmp_path / "labels.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@settings(max_examples=30)
@given(content=CONTENTS)
def test_texts_are_kept_to_the_character(content: Content, tmp_path_factory: pytest.TempPathFactory) -> None:
    own = store(tmp_path_factory.mktemp("kept"))
    own.write(1, content, "ann", None)
    again = store(own.database.path.parent).entry(1)
    assert (again.content if again else Content()) == content

"""Feature sets against a plain model: members, names, history and undo."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from precompute.errors import LabelError
from precompute.labels.database import Database
from precompute.labels.sets import SetStore

NAMES = st.sampled_from(["a", "b", "brackets: (open)", "כ\u200b"])
MEMBERS = st.sets(st.integers(0, 9), max_size=6)


class Sets(RuleBasedStateMachine):
    """Two stores on one file against a dict of sets and a count of changes."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.stores = [SetStore(Database(Path(self.directory.name)), "sae") for _ in range(2)]
        self.model: dict[str, set[int]] = {}
        self.n_changes = 0

    def teardown(self) -> None:
        self.directory.cleanup()

    @rule(which=st.integers(0, 1), name=NAMES, members=MEMBERS)
    def create(self, which: int, name: str, members: set[int]) -> None:
        if name in self.model:
            with pytest.raises(LabelError, match="there already"):
                self.stores[which].create(name, members, "ann")
            return
        self.stores[which].create(name, members, "ann")
        self.model[name] = set(members)
        self.n_changes += 1

    @rule(which=st.integers(0, 1), name=NAMES, add=MEMBERS, remove=MEMBERS)
    def change(self, which: int, name: str, add: set[int], remove: set[int]) -> None:
        if name not in self.model:
            with pytest.raises(LabelError, match="no set"):
                self.stores[which].change(name, "bo", add, remove)
            return
        wanted = (self.model[name] | add) - remove
        self.stores[which].change(name, "bo", add, remove)
        self.n_changes += wanted != self.model[name]
        self.model[name] = wanted

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 1), name=NAMES, new=NAMES)
    def rename(self, which: int, name: str, new: str) -> None:
        if name not in self.model or new in self.model:
            with pytest.raises(LabelError):
                self.stores[which].rename(name, new, "ann")
            return
        self.stores[which].rename(name, new, "ann")
        self.model[new] = self.model.pop(name)
        self.n_changes += 2

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 1), name=NAMES)
    def remove_and_undo(self, which: int, name: str) -> None:
        if name in self.model:
            gone = self.stores[which].remove(name, "ann")
            assert name not in self.stores[which].current()
            self.stores[1 - which].undo(gone.number, "bo")
            self.n_changes += 2

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 1), name=NAMES, add=MEMBERS, later=MEMBERS)
    def undo_keeps_what_came_later(self, which: int, name: str, add: set[int], later: set[int]) -> None:
        if name not in self.model or not add - self.model[name]:
            return
        old = set(self.model[name])
        changed = self.stores[which].change(name, "ann", add)
        later_added = later - old - add
        self.stores[which].change(name, "bo", later)
        self.stores[1 - which].undo(changed.number, "ann")
        self.model[name] = old | later_added
        self.n_changes += 2 + bool(later_added)

    @invariant()
    def both_see_all(self) -> None:
        for own in self.stores:
            assert {n: set(s.features) for n, s in own.current().items()} == self.model
            assert all(s.features == tuple(sorted(s.features)) for s in own.current().values())
            assert own.version() == len(own.history()) == self.n_changes


TestSets = Sets.TestCase
TestSets.settings = settings(max_examples=20, stateful_step_count=15)


def sets(directory: Path) -> SetStore:
    return SetStore(Database(directory), "sae")


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, None, "\ud800"])
def test_names_say_something(tmp_path: Path, name: object) -> None:
    with pytest.raises(LabelError, match="set's name"):
        sets(tmp_path).create(name, [1], "ann")


@pytest.mark.parametrize("feature", [-1, "1", 1.5, True, None])
def test_members_are_features(tmp_path: Path, feature: object) -> None:
    with pytest.raises(LabelError, match="whole number"):
        sets(tmp_path).create("a", [feature], "ann")


def test_undo_of_the_making_removes_the_set(tmp_path: Path) -> None:
    own = sets(tmp_path)
    made = own.create("a", [1, 2], "ann")
    undone = own.undo(made.number, "ann")
    assert own.current() == {}
    own.undo(undone.number, "ann")
    assert own.current()["a"].features == (1, 2)


def test_a_name_says_what_it_was_before(tmp_path: Path) -> None:
    own = sets(tmp_path)
    own.create("a", [1], "ann")
    own.rename("a", "b", "bo")
    assert [(e.name, e.kind, e.other) for e in own.history()] == [
        ("a", "create", None),
        ("a", "rename", "b"),
        ("b", "rename", "a"),
    ]

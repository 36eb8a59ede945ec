"""Labels of one SAE's features: what is said now, every change of it, and how to take one back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from precompute.errors import LabelError
from precompute.labels.content import (
    FIELDS,
    Change,
    Content,
    change_of,
    checked,
    checked_feature,
    checked_name,
    time_now,
)
from precompute.labels.database import Database
from precompute.labels.merge import Case, Decision, Merged, Offer, cases, written

COLUMNS = "number, uid, feature, label, category, confidence, notes, author, time, kind, undoes, batch, actor"


class LabelConflictError(LabelError):
    """Two people changed the same field; nothing is written before one of them chooses."""

    def __init__(self, theirs: Change, wanted: Content, clashing: tuple[str, ...]) -> None:
        self.theirs, self.wanted, self.clashing = theirs, wanted, clashing
        super().__init__(
            f"{' and '.join(clashing)} of feature {theirs.feature}, changed by {theirs.author!a} meanwhile",
            "the text that you began from",
            "choose one of the two",
        )


class LabelStore:
    """The labels of one SAE, known by its content digest. Every write is one transaction."""

    def __init__(self, database: Database, sae: str) -> None:
        self.database, self.sae = database, sae

    # Reading.

    def version(self) -> int:
        """The number of the newest change: it grows with every write of any process; 0 before the first."""
        with self.database.reading() as connection:
            return 0 if connection is None else _newest(connection, self.sae)

    def changes(self, after: int = 0) -> list[Change]:
        """All changes since one, in the order in which they were written here."""
        with self.database.reading() as connection:
            return [] if connection is None else _select(connection, "number > ?", self.sae, after)

    def current(self) -> dict[int, Change]:
        """What is said of each feature now, by feature; those whose text was cleared are among them."""
        return dict(sorted({change.feature: change for change in self.changes()}.items()))

    def entry(self, feature: int) -> Change | None:
        """What is said of a feature now; None where nothing ever was."""
        found = self.history(feature)
        return found[-1] if found else None

    def history(self, feature: int) -> tuple[Change, ...]:
        """Every change of a feature, oldest first."""
        with self.database.reading() as connection:
            found = [] if connection is None else _select(connection, "feature = ?", self.sae, feature)
            return tuple(found)

    # Writing.

    def write(self, feature: int, content: Content, author: str, base: str | None) -> Change | None:
        """Say something of a feature; `base` is the change that the author had before them, None for none.

        Only the fields that differ from it are written, so that two people who change different fields do
        not disturb each other. Raises LabelConflictError where somebody else has changed the same field
        since, and LabelError for what cannot be kept. Gives what is said now.
        """
        checked_feature(feature)
        checked(content)
        checked_name(author, "an author's name")
        with self.database.writing() as connection:
            now = _entry(connection, self.sae, feature)
            wanted = _joined(now, self._began(connection, feature, base), content)
            if wanted == (now.content if now else Content()):
                return now
            return self._add(connection, feature, wanted, author)[0]

    def decline(self, feature: int, content: Content, author: str, base: str) -> Change:
        """Keep what is said now against a content of one's own, which stays in the history."""
        checked(content)
        with self.database.writing() as connection:
            now = _entry(connection, self.sae, feature)
            if now is None or now.uid != base:
                raise _unknown(base)
            mine, kept = (self._change(feature, c, author) for c in (content, now.content))
            return _insert(connection, self.sae, [mine, replace(kept, kind="merge")], author)[-1]

    def undo(self, uid: str, author: str) -> Change:
        """Take back one change of anyone, as far as nobody has changed the same field since.

        Raises LabelConflictError where somebody has, and LabelError for a change that is not there.
        """
        checked_name(author, "an author's name")
        with self.database.writing() as connection:
            found = _select(connection, "uid = ?", self.sae, uid)
            if not found:
                raise _unknown(uid)
            return self._take_back(connection, found, author)[0]

    def undo_last(self, author: str, feature: int | None = None) -> tuple[Change, ...]:
        """Take back what somebody wrote last, of one feature or of all that one action wrote (an import).

        Raises LabelError where there is nothing, and LabelConflictError as `undo` does: then nothing is
        changed.
        """
        with self.database.writing() as connection:
            changes = _last_batch(connection, self.sae, author, feature)
            if not changes:
                raise LabelError(f"no change of {author!a} to undo", "one", "look at the history")
            return self._take_back(connection, changes, author)

    def undo_batch(self, batch: int, author: str) -> tuple[Change, ...]:
        """Take back all that one action wrote, known by the number of its first change.

        Raises LabelError where there is none, and LabelConflictError as `undo` does: then nothing is changed.
        """
        checked_name(author, "an author's name")
        with self.database.writing() as connection:
            changes = _select(connection, "batch = ?", self.sae, batch)
            if not changes:
                raise LabelError(f"no action {batch!a}"[:60], "one of the history", "reload the page")
            return self._take_back(connection, changes, author)

    def merge(self, offers: Iterable[Offer], decisions: Mapping[int, Decision], actor: str) -> Merged:
        """Take in what a file offers, all of it or nothing.

        Conflicts that are not decided, or were decided of other texts than there are now, are given back,
        and then nothing is written.
        """
        checked_name(actor, "an author's name")
        offered = tuple(offers)
        with self.database.writing() as connection:
            found = self._cases(connection, offered)
            open_ones = tuple(c for c in found if c.is_open(decisions))
            if open_ones:
                return Merged(found, open_ones, ())
            changes = written(self.sae, found, decisions, actor, time_now())
            return Merged(found, (), tuple(_insert(connection, self.sae, changes, actor)))

    def judge(self, offers: Iterable[Offer]) -> tuple[Case, ...]:
        """What taking in a file would do, feature by feature; writes nothing."""
        with self.database.reading() as connection:
            return self._cases(connection, tuple(offers))

    def _cases(self, connection: sqlite3.Connection | None, offers: tuple[Offer, ...]) -> tuple[Case, ...]:
        changes = [] if connection is None else _select(connection, "number > ?", self.sae, 0)
        return cases(changes, offers)

    def _began(self, connection: sqlite3.Connection, feature: int, base: str | None) -> Content:
        if base is None:
            return Content()
        found = _select(connection, "uid = ? AND feature = ?", self.sae, base, feature)
        if not found:
            raise _unknown(base)
        return found[0].content

    def _take_back(
        self, connection: sqlite3.Connection, changes: list[Change], author: str
    ) -> tuple[Change, ...]:
        """Restore what was said before some changes, of which each feature has one or several in a row."""
        undone = []
        for feature in dict.fromkeys(change.feature for change in changes):
            own = [change for change in changes if change.feature == feature]
            history = _select(connection, "feature = ?", self.sae, feature)
            place = next(i for i, change in enumerate(history) if change.number == own[0].number)
            before = history[place - 1].content if place else Content()
            wanted = _joined(history[-1], own[-1].content, before)
            taken = self._change(feature, wanted, author)
            undone.append(replace(taken, kind="undo", undoes=own[-1].uid))
        return tuple(_insert(connection, self.sae, undone, author))

    def _change(self, feature: int, content: Content, author: str) -> Change:
        return change_of(self.sae, feature, content, checked_name(author, "an author's name"), time_now())

    def _add(
        self, connection: sqlite3.Connection, feature: int, content: Content, author: str
    ) -> list[Change]:
        return _insert(connection, self.sae, [self._change(feature, content, author)], author)


def _joined(now: Change | None, began: Content, wanted: Content) -> Content:
    """What is said now, with the fields in which `wanted` differs from `began`; raises LabelConflictError."""
    present = now.content if now else Content()
    mine = wanted.differing(began)
    joined = replace(present, **{name: getattr(wanted, name) for name in mine})
    # A field that both changed to the same text is no conflict.
    clashing = set(mine) & set(present.differing(began)) & set(joined.differing(present))
    if clashing and now is not None:
        raise LabelConflictError(now, joined, tuple(sorted(clashing)))
    return joined


def _unknown(uid: str) -> LabelError:
    return LabelError(f"no change {uid!a}"[:60], "one of this feature's history", "reload the page")


def _newest(connection: sqlite3.Connection, sae: str) -> int:
    (number,) = connection.execute("SELECT max(number) FROM change WHERE sae = ?", (sae,)).fetchone()
    return int(number or 0)


def _select(connection: sqlite3.Connection, test: str, sae: str, *values: Any) -> list[Change]:
    """Changes that pass a test of this module, in order."""
    asked = f"SELECT {COLUMNS} FROM change WHERE sae = ? AND {test} ORDER BY number"
    return [_change_of_row(row) for row in connection.execute(asked, (sae, *values))]


def _change_of_row(row: tuple[Any, ...]) -> Change:
    number, uid, feature, label, category, confidence, notes, author, time, kind, undoes, batch, actor = row
    content = Content(label, category, confidence, notes)
    return Change(feature, content, author, time, uid, kind, undoes, number, batch, actor)


def _entry(connection: sqlite3.Connection, sae: str, feature: int) -> Change | None:
    found = _select(connection, "feature = ?", sae, feature)
    return found[-1] if found else None


def _last_batch(connection: sqlite3.Connection, sae: str, author: str, feature: int | None) -> list[Change]:
    """The changes of the last action of somebody that is no undo, and was not undone."""
    # Of several changes of a feature in one action, the last is the one that is undone.
    test = (
        "actor = ? AND kind != 'undo' AND (? IS NULL OR feature = ?) AND uid NOT IN "
        "(SELECT undoes FROM change WHERE sae = ? AND undoes IS NOT NULL) AND NOT EXISTS "
        "(SELECT 1 FROM change AS later WHERE later.sae = own.sae AND later.feature = own.feature "
        "AND later.number > own.number AND later.batch = own.batch)"
    )
    asked = f"SELECT max(batch) FROM change AS own WHERE sae = ? AND {test}"
    (batch,) = connection.execute(asked, (sae, author, feature, feature, sae)).fetchone()
    if batch is None:
        return []
    return _select(connection, "batch = ? AND (? IS NULL OR feature = ?)", sae, batch, feature, feature)


def _insert(connection: sqlite3.Connection, sae: str, changes: Iterable[Change], actor: str) -> list[Change]:
    """Write changes as one action; gives them with their numbers."""
    (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM change").fetchone()
    batch, done = last + 1, []
    for number, change in enumerate(changes, batch):
        own = replace(_unique(connection, sae, change), number=number, batch=batch, actor=actor)
        texts = tuple(asdict(own.content)[name] for name in FIELDS)
        values = (number, own.uid, own.feature, *texts, own.author, own.time, own.kind, own.undoes)
        marks = ", ".join("?" * (len(values) + 3))
        connection.execute(
            f"INSERT INTO change ({COLUMNS}, sae) VALUES ({marks})", (*values, batch, actor, sae)
        )
        done.append(own)
    return done


def _unique(connection: sqlite3.Connection, sae: str, change: Change) -> Change:
    """The change, a microsecond later if the same was said at the very same time."""
    known = "SELECT 1 FROM change WHERE uid = ?"
    while connection.execute(known, (change.uid,)).fetchone():
        later = change_of(sae, change.feature, change.content, change.author, change.time + 1)
        change = replace(later, kind=change.kind, undoes=change.undoes)
    return change

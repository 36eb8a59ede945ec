"""Named lists of one SAE's features, with every change kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from precompute.errors import LabelError
from precompute.labels.content import checked_feature, checked_name, time_now
from precompute.labels.database import Database

MOST_FEATURES = 1_000_000
COLUMNS = "number, name, features, author, time, kind, undoes, other"
SetKind = Literal["create", "change", "rename", "remove", "undo"]


@dataclass(frozen=True)
class FeatureSet:
    """A named list of features: one entry of its history, and as the last entry what it is now."""

    name: str
    features: tuple[int, ...]
    """Ascending, each once."""
    author: str
    """Of this change."""
    time: int
    """Microseconds since 1970, UTC."""
    number: int
    """Of this change, in this data directory."""
    kind: SetKind
    removed: bool
    """Whether there is no such set from then on."""
    other: str | None
    """The name that it had before, or was given."""


class SetStore:
    """The feature sets of one SAE, known by its content digest. Every write is one transaction."""

    def __init__(self, database: Database, sae: str) -> None:
        self.database, self.sae = database, sae

    def version(self) -> int:
        """The number of the newest change; it grows with every write of any process."""
        asked = "SELECT max(number) FROM set_change WHERE sae = ?"
        with self.database.reading() as connection:
            return 0 if connection is None else int(connection.execute(asked, (self.sae,)).fetchone()[0] or 0)

    def current(self) -> dict[str, FeatureSet]:
        """The sets there are, by name."""
        latest = "number IN (SELECT max(number) FROM set_change WHERE sae = ? GROUP BY name)"
        with self.database.reading() as connection:
            found = [] if connection is None else _select(connection, latest, self.sae, self.sae)
            return {entry.name: entry for entry in sorted(found, key=lambda e: e.name) if not entry.removed}

    def history(self, name: str | None = None) -> tuple[FeatureSet, ...]:
        """Every change of a name, or of all names, oldest first."""
        with self.database.reading() as connection:
            test = "(? IS NULL OR name = ?)"
            return () if connection is None else tuple(_select(connection, test, self.sae, name, name))

    def create(self, name: str, features: Iterable[int], author: str) -> FeatureSet:
        """Make a set; raises LabelError where there is one of that name."""
        chosen = _checked(features)
        with self.database.writing() as connection:
            self._refuse_taken(connection, name)
            return self._add(connection, name, chosen, author, "create")

    def change(
        self, name: str, author: str, add: Iterable[int] = (), remove: Iterable[int] = ()
    ) -> FeatureSet:
        """Add features to a set and take some out, whatever others have done to it meanwhile."""
        added, taken = set(_checked(add)), set(_checked(remove))
        with self.database.writing() as connection:
            now = self._there(connection, name)
            wanted = tuple(sorted((set(now.features) | added) - taken))
            return now if wanted == now.features else self._add(connection, name, wanted, author, "change")

    def rename(self, name: str, new: str, author: str) -> FeatureSet:
        """Give a set another name; its history keeps both."""
        with self.database.writing() as connection:
            now = self._there(connection, name)
            self._refuse_taken(connection, new)
            self._add(connection, name, None, author, "rename", other=new)
            return self._add(connection, new, now.features, author, "rename", other=name)

    def remove(self, name: str, author: str) -> FeatureSet:
        """Remove a set; its history stays, and undo brings it back."""
        with self.database.writing() as connection:
            self._there(connection, name)
            return self._add(connection, name, None, author, "remove")

    def undo(self, number: int, author: str) -> FeatureSet:
        """Take one change back: what it added goes, what it took out returns; later changes stay."""
        with self.database.writing() as connection:
            entry = next(iter(_select(connection, "number = ?", self.sae, number)), None)
            if entry is None:
                raise LabelError(f"no change {number} of a set", "one of the history", "reload the page")
            history = _select(connection, "name = ?", self.sae, entry.name)
            place = [other.number for other in history].index(number)
            before, now = (history[place - 1] if place else None), history[-1]
            wanted = _without(now, entry, before)
            return self._add(connection, entry.name, wanted, author, "undo", undoes=number)

    def _there(self, connection: sqlite3.Connection, name: str) -> FeatureSet:
        found = _select(connection, "name = ?", self.sae, name)
        if not found or found[-1].removed:
            known = ", ".join(f"{n!a}" for n in self.current()) or "none yet"
            raise LabelError(f"no set {name!a}"[:100], f"one of these: {known}"[:300], "choose another")
        return found[-1]

    def _refuse_taken(self, connection: sqlite3.Connection, name: str) -> None:
        checked_name(name, "a set's name")
        found = _select(connection, "name = ?", self.sae, name)
        if found and not found[-1].removed:
            raise LabelError(f"a set {name!a} that is there already"[:120], "a new name", "choose another")

    def _add(
        self,
        connection: sqlite3.Connection,
        name: str,
        features: tuple[int, ...] | None,
        author: str,
        kind: SetKind,
        *,
        undoes: int | None = None,
        other: str | None = None,
    ) -> FeatureSet:
        checked_name(author, "an author's name")
        written = None if features is None else json.dumps(features, separators=(",", ":"))
        values = (name, written, author, time_now(), kind, undoes, other)
        asked = f"INSERT INTO set_change ({COLUMNS.removeprefix('number, ')}, sae) VALUES (?,?,?,?,?,?,?,?)"
        number = connection.execute(asked, (*values, self.sae)).lastrowid
        return _set_of_row((number, *values))


def _without(now: FeatureSet, entry: FeatureSet, before: FeatureSet | None) -> tuple[int, ...] | None:
    """What a set is after one of its changes is taken back; None for removed."""
    was_removed = before is None or before.removed
    old = set(before.features) if before else set()
    if was_removed:
        return None
    if entry.removed or now.removed:
        return tuple(sorted(old))
    added, taken = set(entry.features) - old, old - set(entry.features)
    return tuple(sorted((set(now.features) - added) | taken))


def _checked(features: Iterable[int]) -> tuple[int, ...]:
    """Features in order, each once; raises LabelError for what is no feature, or too many."""
    chosen = tuple(sorted({checked_feature(feature) for feature in features}))
    if len(chosen) > MOST_FEATURES:
        raise LabelError(f"a set of {len(chosen):,} features", f"at most {MOST_FEATURES:,}", "choose fewer")
    return chosen


def _select(connection: sqlite3.Connection, test: str, sae: str, *values: Any) -> list[FeatureSet]:
    asked = f"SELECT {COLUMNS} FROM set_change WHERE sae = ? AND {test} ORDER BY number"
    return [_set_of_row(row) for row in connection.execute(asked, (sae, *values))]


def _set_of_row(row: tuple[Any, ...]) -> FeatureSet:
    number, name, features, author, time, kind, _undoes, other = row
    members = () if features is None else tuple(json.loads(features))
    return FeatureSet(name, members, author, time, number, kind, features is None, other)

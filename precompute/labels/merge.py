"""Merging two people's labels: what a file offers for each feature, judged against what is said here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from precompute.labels.content import Change, Content, change_of

Kind = Literal["added", "updated", "same", "known", "conflict"]
"""New here; a later state of ours; equal, said independently; an earlier state of ours; to be decided."""
Side = Literal["mine", "theirs"]


@dataclass(frozen=True)
class Offer:
    """What a file says of one feature."""

    feature: int
    changes: tuple[Change, ...]
    """Oldest first; the last one is what the file says now."""
    base: str | None = None
    """The change that a row of a table was edited from, where the row names it."""


@dataclass(frozen=True)
class Decision:
    """Which of two texts is to stand; the other one stays in the history."""

    keep: Side
    mine: str
    """The change of ours that was looked at."""
    theirs: Content
    """The text of theirs that was looked at."""


@dataclass(frozen=True)
class Case:
    """An offer, judged."""

    feature: int
    kind: Kind
    mine: Change | None
    theirs: Change
    unknown: tuple[Change, ...]
    """Changes of the offer that are not in our history."""

    def is_open(self, decisions: Mapping[int, Decision]) -> bool:
        """Whether it is a conflict that nobody has decided, or decided of other texts."""
        found = decisions.get(self.feature)
        if self.kind != "conflict" or self.mine is None:
            return False
        return found is None or (found.mine, found.theirs) != (self.mine.uid, self.theirs.content)


@dataclass(frozen=True)
class Merged:
    """What a merge did, or what it waits for."""

    cases: tuple[Case, ...]
    undecided: tuple[Case, ...]
    """Conflicts that must be decided first; where there are any, nothing was written."""
    changes: tuple[Change, ...]
    """What was written."""


def cases(ours: Iterable[Change], offers: Iterable[Offer]) -> tuple[Case, ...]:
    """Judge each offer against our history."""
    history: defaultdict[int, dict[str, Change]] = defaultdict(dict)
    for change in ours:
        history[change.feature][change.uid] = change
    return tuple(_case(list(history[offer.feature].values()), offer) for offer in offers)


def _case(history: list[Change], offer: Offer) -> Case:
    mine = history[-1] if history else None
    known = {change.uid for change in history}
    unknown = tuple(change for change in offer.changes if change.uid not in known)
    kind = _kind(mine, known, offer)
    # A row that was edited to what is said here anyway adds nothing to the history.
    nothing = kind == "same" and (offer.base is not None or mine is None)
    return Case(offer.feature, kind, mine, offer.changes[-1], () if nothing else unknown)


def _kind(mine: Change | None, known: set[str], offer: Offer) -> Kind:
    theirs = offer.changes[-1]
    if theirs.uid in known:
        return "known"
    if mine is None:
        return "same" if theirs.content.is_empty and len(offer.changes) == 1 else "added"
    if mine.content == theirs.content:
        return "same"
    if mine.uid == offer.base or mine.uid in {change.uid for change in offer.changes}:
        return "updated"
    return "conflict"


def written(
    sae: str, judged: Iterable[Case], decisions: Mapping[int, Decision], actor: str, time: int
) -> list[Change]:
    """The changes that a merge adds, whose conflicts are all decided; the last of each feature stands."""
    added: list[Change] = []
    for case in judged:
        added += case.unknown
        if case.mine is not None and case.unknown and _stays(case, decisions):
            kept = change_of(sae, case.feature, case.mine.content, actor, time)
            added.append(replace(kept, kind="merge"))
    return added


def _stays(case: Case, decisions: Mapping[int, Decision]) -> bool:
    """Whether ours must be said again, to stand after what the file adds to the history."""
    return case.kind == "known" or (case.kind == "conflict" and decisions[case.feature].keep == "mine")

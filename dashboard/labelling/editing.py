"""What a browser asks of one feature's label: read strictly, done, and told as the browser keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dashboard.address import AddressError, shortened
from dashboard.labelling.labels import Labels
from dashboard.tables import optional
from precompute.errors import LabelError
from precompute.labels.content import FIELDS, Change, Content
from precompute.labels.sets import FeatureSet
from precompute.labels.store import LabelConflictError

ACTS = ("undo", "take back", "mine", "theirs")
"""What the buttons of the editor ask for."""


@dataclass(frozen=True)
class Outcome:
    """What is said of a feature after something was asked."""

    entry: Change | None
    conflict: LabelConflictError | None = None
    """Why nothing was written: somebody else has changed the same field."""
    has_changed: bool = True
    """Whether the browser has something to learn."""


def said(entry: Change | None) -> dict[str, Any]:
    """What is said of a feature, as the browser keeps it and sends it back."""
    content = asdict(entry.content if entry else Content())
    return {"number": entry.number if entry else 0, "uid": entry.uid if entry else None, **content}


def read_content(values: Sequence[object]) -> Content:
    """A content from the fields of a page; empty fields say nothing. Raises AddressError or LabelError."""
    label, category, confidence, notes = values
    sure = None if confidence in (None, "") else confidence
    if isinstance(sure, float) and sure.is_integer():
        sure = int(sure)
    if sure is not None and (not isinstance(sure, int) or isinstance(sure, bool)):
        raise AddressError(f"a confidence of {shortened(sure)}", "0 to 100 %, or nothing", "correct it")
    return Content(_text(label, "label"), _text(category, "category"), sure, _text(notes, "notes"))


def _text(value: object, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise AddressError(f"{name} {shortened(value)}", "text", "reload the page")
    return value or ""


def read_author(value: object, labels: Labels) -> str:
    """Who writes: the name on the page, or else the server's."""
    return _text(value, "author").strip() or labels.author


def read_base(value: object) -> str | None:
    """The change that the browser's fields began from."""
    found = value.get("uid") if isinstance(value, Mapping) else value
    if found is not None and not isinstance(found, str):
        raise AddressError(f"the change {shortened(found)}", "one of the history", "reload the page")
    return found


def write(labels: Labels, feature: int, values: Sequence[object], base: object, author: object) -> Outcome:
    """Keep what the fields say, as far as it differs from what they began from."""
    content, began = read_content(values), read_base(base)
    if not says_anything_new(labels, feature, content, began):
        return Outcome(labels.entry(feature), has_changed=False)
    try:
        found = labels.store.write(feature, content, read_author(author, labels), began)
    except LabelConflictError as conflict:
        return Outcome(conflict.theirs, conflict)
    return Outcome(found)


def says_anything_new(labels: Labels, feature: int, content: Content, base: str | None) -> bool:
    """Whether the fields say anything new; drawing them anew reports them too."""
    entry = labels.entry(feature)
    return (entry.content if entry else Content()) != content or (entry.uid if entry else None) != base


def act(labels: Labels, feature: int, asked: object, author: object) -> Outcome:
    """Do what a button asks for. Raises AddressError or LabelError."""
    order = asked if isinstance(asked, Mapping) else {}
    name, name_of_act = read_author(author, labels), order.get("act")
    if name_of_act not in ACTS:
        raise AddressError(
            f"{shortened(name_of_act)} asked of a label", f"one of {', '.join(ACTS)}", "reload"
        )
    try:
        _ACTS[name_of_act](labels, feature, order, name)
    except LabelConflictError as conflict:
        return Outcome(conflict.theirs, conflict)
    return Outcome(labels.store.entry(feature))


def _undo(labels: Labels, feature: int, _order: Mapping[str, Any], author: str) -> None:
    labels.store.undo_last(author, feature)


def _take_back(labels: Labels, feature: int, order: Mapping[str, Any], author: str) -> None:
    uid = read_base(order.get("uid"))
    if uid not in {change.uid for change in labels.store.history(feature)}:
        raise LabelError(f"no change {uid!a}"[:60], "one of this feature's history", "reload the page")
    labels.store.undo(str(uid), author)


def _choose_mine(labels: Labels, feature: int, order: Mapping[str, Any], author: str) -> None:
    content = read_content([order.get(name) for name in FIELDS])
    labels.store.write(feature, content, author, read_base(order.get("uid")))


def _choose_theirs(labels: Labels, feature: int, order: Mapping[str, Any], author: str) -> None:
    content = read_content([order.get(name) for name in FIELDS])
    labels.store.decline(feature, content, author, str(read_base(order.get("uid"))))


_ACTS = dict(zip(ACTS, (_undo, _take_back, _choose_mine, _choose_theirs), strict=True))


def sets_of(labels: Labels, feature: int) -> list[str]:
    """The names of the sets that a feature is in."""
    found: tuple[FeatureSet, ...] = optional(labels.sets) or ()
    return [entry.name for entry in found if feature in entry.features]


def put_into_sets(labels: Labels, feature: int, shown: object, wanted: object, author: object) -> None:
    """Bring a feature into the sets that were added to those shown, and out of those that were taken away.

    A set that is not there yet is made.
    """
    before, after = _names(shown), _names(wanted)
    writer, there = read_author(author, labels), {entry.name for entry in labels.sets()}
    for name in after - before:
        if name in there:
            labels.set_store.change(name, writer, add=[feature])
        else:
            labels.create_set(name, [feature], writer)
    for name in (before - after) & there:
        labels.set_store.change(name, writer, remove=[feature])


def _names(value: object) -> set[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value) or len(value) > 1000:
        raise AddressError(f"the sets {shortened(value)}", "a list of names", "reload the page")
    return set(value)

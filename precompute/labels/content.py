"""What is said of one feature, and one change of it: checked, and known by what it holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta

from precompute.artifacts.digests import text_digest
from precompute.artifacts.manifest import canonical_json
from precompute.errors import LabelError

LONGEST_LABEL = 200
LONGEST_CATEGORY = 60
LONGEST_NOTES = 10_000
LONGEST_NAME = 80
"""Characters of an author's name, and of a set's."""
MOST_CONFIDENCE = 100
LAST_TIME = 253_402_300_799_999_999
"""The last microsecond of the year 9999, which is as far as times are written."""
START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Content:
    """What is said of one feature. Texts are kept to the character; nothing is trimmed or decoded."""

    label: str = ""
    """What it stands for, in a few words; at most 200 characters."""
    category: str = ""
    """A word that groups labels; at most 60 characters."""
    confidence: int | None = None
    """How sure its author is, in percent; None where nothing was said."""
    notes: str = ""
    """Anything else; at most 10,000 characters."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said at all."""
        return self == Content()

    def differing(self, other: Content) -> tuple[str, ...]:
        """The fields in which two contents differ."""
        return tuple(name for name in FIELDS if getattr(self, name) != getattr(other, name))


FIELDS = tuple(field.name for field in fields(Content))
"""The fields of a content, in the order of files and pages."""


@dataclass(frozen=True)
class Change:
    """One entry of the history: what was said of a feature from then on."""

    feature: int
    content: Content
    author: str
    time: int
    """Microseconds since 1970, UTC."""
    uid: str
    """Known by what it holds, so that copies of a history find each other's entries."""
    kind: str = "edit"
    """edit, undo, or merge (the choice between two texts)."""
    undoes: str | None = None
    """The change that it takes back."""
    number: int = 0
    """Its place in this data directory's history, from 1; 0 before it is written."""
    batch: int = 0
    """Number of the first change that was written together with it."""
    actor: str = ""
    """Who wrote it here: its author, or who imported it."""


def change_of(
    sae: str,
    feature: int,
    content: Content,
    author: str,
    time: int,
    *,
    kind: str = "edit",
    undoes: str | None = None,
) -> Change:
    """A change with its identity."""
    uid = text_digest(canonical_json([sae, feature, asdict(content), author, time]))
    return Change(feature, content, author, time, uid, kind, undoes)


def checked(content: Content) -> Content:
    """The content, if it can be kept; raises LabelError naming what cannot."""
    checked_text(content.label, LONGEST_LABEL, "a label")
    checked_text(content.category, LONGEST_CATEGORY, "a category")
    checked_text(content.notes, LONGEST_NOTES, "notes")
    sure = content.confidence
    is_whole = isinstance(sure, int) and not isinstance(sure, bool)
    if sure is not None and not (is_whole and 0 <= sure <= MOST_CONFIDENCE):
        raise LabelError(
            f"a confidence of {sure!a}"[:60], "a whole number of percent from 0 to 100, or none", "correct it"
        )
    return content


def checked_text(value: object, longest: int, name: str) -> str:
    """A text of bounded length that can be written as UTF-8; control characters may be in it."""
    if not isinstance(value, str):
        raise LabelError(f"{name} of type {type(value).__name__}", "text", "write it as text")
    if len(value) > longest:
        raise LabelError(
            f"{name} of {len(value):,} characters", f"at most {longest:,}", "shorten it, or use the notes"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LabelError(
            f"{name} with half a character (U+{ord(value[error.start]):04X})",
            "valid Unicode",
            "remove that character",
        ) from None
    return value


def checked_name(value: object, name: str) -> str:
    """A name that says something: of an author, or of a set."""
    text = checked_text(value, LONGEST_NAME, name)
    if not text.strip():
        raise LabelError(f"{name} without a letter", f"1 to {LONGEST_NAME} characters", "write one")
    return text


def checked_feature(value: object, d_sae: int | None = None) -> int:
    """A feature's number; raises LabelError naming the valid range."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not 0 <= int(str(value)) < (d_sae or 2**31):
        valid = "a whole number from 0" + (f" to {d_sae - 1}" if d_sae else "")
        raise LabelError(f"feature {value!a}"[:60], valid, "correct the number")
    return int(str(value))


def time_now() -> int:
    """Microseconds since 1970."""
    return (datetime.now(UTC) - START) // timedelta(microseconds=1)


def spelled_time(time: int) -> str:
    """A time as ISO 8601 in UTC, to the microsecond."""
    return (START + timedelta(microseconds=time)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_time(text: str) -> int:
    """A time from ISO 8601; without a zone it is UTC. Raises LabelError for what is none."""
    try:
        found = datetime.fromisoformat(text)
        time = ((found if found.tzinfo else found.replace(tzinfo=UTC)) - START) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        time = -1
    if not 0 <= time <= LAST_TIME:
        raise LabelError(
            f"the time {text!a}"[:60], "one such as 2025-03-31T12:00:00Z, from 1970 on", "correct it"
        )
    return time

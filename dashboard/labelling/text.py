"""What people wrote, as it is shown: nothing invisible, nothing taken for markup, cut where too long."""

from __future__ import annotations

from dashboard.token_view import visible
from precompute.labels.content import Change, Content
from precompute.labels.content import spelled_time as exact_time

IN_A_CHIP = 28
"""Characters of a label beside a feature's number."""
FIELD_NAMES = {"label": "Label", "category": "Category", "confidence": "Confidence", "notes": "Notes"}


def shown(text: str, longest: int | None = None) -> str:
    """A text with its invisible characters named; an ordinary one is itself."""
    cut = text if longest is None or len(text) <= longest else text[: longest - 1]
    tail = "" if cut is text else "…"
    if not cut or (cut.isascii() and cut.isprintable()):
        return cut + tail
    return visible(cut, keep_spaces=True, longest=len(cut)) + tail


def in_a_chip(label: str) -> str:
    """A label beside a number."""
    return shown(label, IN_A_CHIP)


def field(content: Content, name: str) -> str:
    """One field in words; empty where nothing was said."""
    value = getattr(content, name)
    if name == "confidence":
        return "" if value is None else f"{value} %"
    return shown(value)


def when(time: int) -> str:
    """A time to the minute, UTC."""
    return exact_time(time)[:16].replace("T", " ")


def signed(change: Change) -> str:
    """Who said it, and when."""
    return f"{shown(change.author)}, {when(change.time)} UTC"

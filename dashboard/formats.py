"""Numbers as people read them, each with its unit."""

from __future__ import annotations

import math

ABSENT = "–"
"""Shown for what was not computed or does not exist; never for zero."""


def count(value: float | None) -> str:
    """A whole number with separators between thousands."""
    return ABSENT if value is None else f"{int(value):,}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent where that is readable."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    size = math.floor(math.log10(abs(rounded)))
    if size >= 6 or size < -4:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Like `decimal`, with a sign that lines up."""
    shown = decimal(value, digits)
    return shown if value is None or value <= 0 else f"+{shown}"


def share(value: float | None) -> str:
    """A share from 0 to 1, as a percentage."""
    return ABSENT if value is None else f"{decimal(100 * value)} %"


def short_share(value: float) -> str:
    """A round share as a percentage, for the ticks of an axis."""
    return f"{100 * value:.6g} %"


def size(n_bytes: float | None) -> str:
    """A size in decimal units."""
    if n_bytes is None:
        return ABSENT
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{int(n_bytes)} B"


def duration(seconds: float | None) -> str:
    """A time in seconds or minutes."""
    if seconds is None:
        return ABSENT
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{seconds:.1f} s"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"

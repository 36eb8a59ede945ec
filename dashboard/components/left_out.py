"""Columns that a table leaves out: those that do not apply, with the reason, and those that are lacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.queries import Queries


@dataclass(frozen=True)
class LeftOut:
    """Columns that are not there, by their headings."""

    not_applicable: str
    """Which do not apply to the model type, and why, in one sentence; empty where there are none."""
    lacking: Mapping[str, str]
    """The step of each of the others, whose artifact is missing or damaged."""


def left_out(queries: Queries, columns: Mapping[str, str]) -> LeftOut:
    """Columns that are not there, given by their headings with their steps, by why they are not."""
    reasons: dict[str, list[str]] = {}
    lacking: dict[str, str] = {}
    for heading, step in columns.items():
        status = queries.states.of(step)
        if status is not None and status.state == "not applicable":
            reasons.setdefault(status.reason, []).append(heading)
        else:
            lacking[heading] = step
    said = "; ".join(f"{', '.join(headings)} ({reason})" for reason, headings in reasons.items())
    return LeftOut(f"Not for {queries.model_type.name}: {said}." if said else "", lacking)

"""What is said of jobs, wherever they are shown: pure functions of their records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from dashboard import formats
from precompute.jobs.costs import Cost
from precompute.jobs.record import JobRecord
from precompute.jobs.works import SEPARATOR
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import READINGS

STAGED: Mapping[str, str] = MappingProxyType(
    {
        "embeddings": "Embeddings and map of",
        "density": "Density weights of",
        "traits": "Trait vectors of",
        "sweep": "Best-of-K sweep of",
        READINGS: "Features on the texts of an embedding set:",
    }
)
"""Before the name of work that is no model type."""
ORIGINS: Mapping[str, str] = MappingProxyType(
    {"page": "asked for on a page", "start": "started with the server", "terminal": "run in a terminal"}
)


def about(cost: Cost) -> str:
    """An expected cost, as exact as it can be: `about 40 s, 120 MB`."""
    return f"about {rounded_duration(cost.seconds)}, {rounded_size(cost.n_bytes)}"


def rounded_duration(seconds: float) -> str:
    """A duration that is only expected."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    if seconds < 5400:
        return f"{max(2, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h"


def rounded_size(n_bytes: float) -> str:
    """A size that is only expected."""
    megabytes = n_bytes / 1e6
    if megabytes < 1:
        return "under 1 MB"
    if megabytes < 1000:
        return f"{float(f'{megabytes:.2g}'):,.0f} MB"
    return f"{megabytes / 1000:.1f} GB"


def title(record: JobRecord) -> str:
    """What a job computes."""
    kind, _, name = record.model_type.partition(SEPARATOR)
    if name:
        return f"{STAGED[kind]} {name.replace(SEPARATOR, ' ')}"
    if len(record.asked) == len(steps()):
        return f"Everything of {record.model_type}"
    named = ", ".join(record.asked[:3]) + (f" and {len(record.asked) - 3} more" if record.asked[3:] else "")
    return f"{named} of {record.model_type}"


def share(record: JobRecord) -> float | None:
    """How much of the step at work is done, from 0 to 1; None where that is not known."""
    return min(1.0, record.n_done / record.n_total) if record.n_total > 0 else None


def at_work(record: JobRecord, n_ahead: int = 0) -> str:
    """Where a job is that has not ended."""
    if record.state == "queued":
        return f"Waiting for its turn, {formats.plural(n_ahead, 'job')} before it"
    if record.step is None:
        return _sentence(record.reason) if record.reason else "Starting"
    number = min(len(record.done) + 1, max(len(record.steps), 1))
    place = f"Step {number} of {len(record.steps)}: " if len(record.steps) > 1 else ""
    if record.waiting:
        return f"{place}{record.step} (another run computes it; waiting)"
    return f"{place}{record.step}"


def progress(record: JobRecord) -> str:
    """How far the step at work is, how fast, and how long it will take."""
    if record.state != "running" or not record.n_total:
        return ""
    parts = [f"{record.n_done:,} of {record.n_total:,} {record.unit}".strip()]
    if record.rate:
        parts.append(f"{formats.decimal(record.rate)} {record.unit}/s")
    if record.seconds_left is not None:
        parts.append(f"{rounded_duration(record.seconds_left)} left")
    return " · ".join(parts)


def how_it_ended(record: JobRecord) -> str:
    """Why a job has not done what it was to do."""
    if record.state == "cancelled":
        return f"It was cancelled {ago(record.ended)}. What was finished is kept."
    if record.state == "interrupted":
        return f"It was interrupted {ago(record.ended)}: {record.error}. What was finished is kept."
    return f"It failed {ago(record.ended)}: {record.error}."


def ago(moment: float | None) -> str:
    """How long ago something was."""
    if moment is None:
        return "at an unknown time"
    seconds = max(0.0, time.time() - moment)
    return "just now" if seconds < 10 else f"{rounded_duration(seconds)} ago"


def clock(moment: float | None) -> str:
    """A moment of today by its time, an earlier one by its date too."""
    if moment is None:
        return formats.ABSENT
    local, today = time.localtime(moment), time.localtime()
    same_day = local[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M", local)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]

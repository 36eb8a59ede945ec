"""What the browser is told of jobs every second: small JSON, from the records and the states of the steps."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from dashboard import job_words
from dashboard.asks import Ask
from dashboard.jobs import Jobs
from dashboard.states import States
from precompute.errors import LightwellError
from precompute.jobs.record import RESUMABLE, JobRecord
from precompute.pipeline.runner import UP_TO_DATE
from precompute.pipeline.subjects import directory_of

MOST_ASKS = 60
"""On one page."""


def look(jobs: Jobs, asks: Sequence[str]) -> dict[str, Any]:
    """How it stands with all jobs, and with what a page asks for; raises AddressError for an odd ask."""
    records = jobs.board.records()
    active = [record for record in records if record.is_active]
    return {
        "version": _version(records),
        "running": sum(record.state == "running" for record in active),
        "waiting": sum(record.state == "queued" for record in active),
        "asks": {text: _ask_view(jobs, jobs.parse(text), records) for text in asks[:MOST_ASKS]},
    }


def _version(records: Iterable[JobRecord]) -> str:
    """Another one whenever a record is written."""
    known = ",".join(f"{record.id}:{record.state}:{record.heartbeat}" for record in records)
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def _ask_view(jobs: Jobs, ask: Ask, records: Sequence[JobRecord]) -> dict[str, Any]:
    states = jobs.states(ask.model_type)
    lacking = _lacking(states, ask)
    needed = bool(lacking)
    last = last_of(directory_of(ask.model_type, jobs.board.data_dir), lacking, records)
    stopped = last is not None and last.state in RESUMABLE and needed
    idle = needed and (last is None or not last.is_active)
    blocked = _blocked(jobs, ask.model_type) if idle else ""
    return {
        "version": states.version_of(ask.names),
        "needed": needed,
        "cost": _cost(jobs, ask) if idle and not blocked else "",
        "blocked": blocked,
        "job": job_view(last, records) if last is not None and last.is_active else None,
        "stopped": stopped_view(last) if stopped and last is not None else None,
    }


def _blocked(jobs: Jobs, name: str) -> str:
    """Why it cannot be computed, in a sentence; empty where it can."""
    reason = jobs.obstacle(name)
    return f"It cannot be computed: {reason}." if reason else ""


def _cost(jobs: Jobs, ask: Ask) -> str:
    try:
        cost = jobs.cost(ask)
    except (LightwellError, OSError, KeyError):
        return ""
    return job_words.about(cost) if cost is not None and cost.steps else ""


def _lacking(states: States, ask: Ask) -> frozenset[str]:
    """Which of the steps are not up to date; where that cannot be judged, all."""
    known = states.all()
    return frozenset(
        name for name in ask.names if ask.verify or name not in known or known[name].state not in UP_TO_DATE
    )


def last_of(directory: Path, lacking: Collection[str], records: Sequence[JobRecord]) -> JobRecord | None:
    """The job that is at all that is lacking, or else the last that should have done it and did not."""
    mine = [record for record in records if record.subject_directory == directory and _is_at(record, lacking)]
    at_work = [record for record in mine if record.is_active]
    return at_work[-1] if at_work else mine[0] if mine else None


def _is_at(record: JobRecord, lacking: Collection[str]) -> bool:
    done = {step.step for step in record.done} if record.state != "finished" else set()
    return bool(lacking) and set(lacking) <= set(record.steps) - done


def job_view(record: JobRecord, records: Sequence[JobRecord]) -> dict[str, Any]:
    """A job that has not ended."""
    n_ahead = sum(other.state == "queued" and other.id < record.id for other in records)
    return {
        "id": record.id,
        "title": job_words.title(record),
        "state": record.state,
        "at": job_words.at_work(record, n_ahead),
        "progress": job_words.progress(record),
        "share": job_words.share(record) if record.state == "running" else None,
        "n_steps": len(record.steps),
        "cancelling": record.cancel_request.exists(),
    }


def stopped_view(record: JobRecord) -> dict[str, Any]:
    """The last attempt, which has not come to its end."""
    return {"id": record.id, "state": record.state, "words": job_words.how_it_ended(record)}

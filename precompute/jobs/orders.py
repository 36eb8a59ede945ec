"""What is asked of a job, and the record that it begins with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from precompute.jobs.record import JobRecord, Owner, new_id
from precompute.jobs.works import Work


@dataclass(frozen=True)
class Order:
    """Work that somebody asks for."""

    work: Work
    asked: tuple[str, ...] = ()
    """Steps; none means all."""
    config: Path | str | None = None
    verify: bool = False
    """Whether what was asked for is read whole first, so that hidden damage is found and repaired."""
    workers: int | None = None
    origin: Literal["page", "start", "terminal"] = "page"
    retry_of: str | None = None


def new_record(order: Order, submitter: Owner | None) -> JobRecord:
    """The record of a job that does what an order asks for; its `steps` are empty where nothing is left."""
    work = order.work
    names = work.selection(order.asked)
    return JobRecord(
        id=new_id(),
        model_type=work.name,
        data_dir=str(work.data_dir.absolute()),
        config=str(Path(order.config).absolute()) if order.config else None,
        features=work.features,
        asked=order.asked or names,
        verify=order.verify,
        workers=order.workers,
        origin=order.origin,
        submitter=submitter,
        submitted=time.time(),
        retry_of=order.retry_of,
        **work.planned(names, order.asked if order.verify else ()),
    )


def covers(active: JobRecord, wanted: JobRecord) -> bool:
    """Whether a job that waits or runs will publish all that another is to publish."""
    if active.subject_directory != wanted.subject_directory or (wanted.verify and not active.verify):
        return False
    if not active.done and active.step is None:  # It will look at what is missing when it begins.
        return set(wanted.steps) <= set(active.steps)
    return all(active.fingerprints.get(name) == value for name, value in wanted.fingerprints.items())

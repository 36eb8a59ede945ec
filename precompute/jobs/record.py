"""The record of one job: a JSON file in the subject's directory, replaced whole at every change."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.errors import LightwellError

JobState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
ACTIVE: tuple[JobState, ...] = ("queued", "running")
"""States of a job that has not ended."""
RESUMABLE: tuple[JobState, ...] = ("failed", "cancelled", "interrupted")
"""States after which the same work may be asked for again."""
JOBS_DIRECTORY = ".jobs"
"""In the subject's directory: records, logs, and requests to cancel."""


class JobError(LightwellError):
    """A job that is not there, or that cannot be started, stopped or repeated."""


class Owner(BaseModel):
    """A process: its number alone would name another one after a while."""

    model_config = ConfigDict(frozen=True)
    host: str
    pid: int
    started: float
    """When the process began, in seconds since 1970."""


class StepDone(BaseModel):
    """One step that a job has computed."""

    model_config = ConfigDict(frozen=True)
    step: str
    seconds: float
    n_bytes: int


class JobRecord(BaseModel):
    """All that is known of one job."""

    model_config = ConfigDict(frozen=True)
    format_version: int = 1
    id: str
    model_type: str
    """Or the name of other work, such as `embeddings:demo:toy`."""
    data_dir: str
    """Absolute."""
    config: str | None = None
    """Absolute path of the TOML file, where there is one."""
    features: tuple[int, int] | None = None
    asked: tuple[str, ...]
    """Steps that were asked for."""
    steps: tuple[str, ...]
    """Steps that were not up to date when the job was submitted, in the order of their computation."""
    fingerprints: dict[str, str]
    """Of the artifacts that the job is to publish, by step."""
    verify: bool = False
    """Whether every byte of what was asked for is read first, so that damage is repaired."""
    workers: int | None = None
    origin: Literal["page", "start", "terminal"] = "page"
    """Who asked: a person on a page, the start of a server, or a command."""
    state: JobState = "queued"
    step: str | None = None
    """At work now."""
    reason: str = ""
    """Why that step is computed."""
    waiting: bool = False
    """Whether another process computes that step, and this job waits for it."""
    n_done: int = 0
    n_total: int = 0
    unit: str = ""
    """What n_done and n_total count, such as rows; none before the step has said so."""
    rate: float | None = None
    """Units a second."""
    done: tuple[StepDone, ...] = ()
    owner: Owner | None = None
    """The process that computes."""
    submitter: Owner | None = None
    """The process that started or will start it, and without which it stops; none for a command."""
    heartbeat: float = 0
    """When the record was last written, in seconds since 1970."""
    submitted: float = 0
    started: float | None = None
    ended: float | None = None
    error: str | None = None
    """Why it failed or was interrupted, in words."""
    retry_of: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def seconds_left(self) -> float | None:
        """Of the step at work, by its rate; None where that is not known."""
        if not self.rate or self.n_total <= 0:
            return None
        return max(0.0, (self.n_total - self.n_done) / self.rate)

    @property
    def n_bytes(self) -> int:
        """Size of what it has published."""
        return sum(done.n_bytes for done in self.done)

    @property
    def subject_directory(self) -> Path:
        """The directory of the subject on which it runs."""
        from precompute.pipeline.subjects import directory_of

        return directory_of(self.model_type, self.data_dir, self.features)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.file(".log")

    @property
    def cancel_request(self) -> Path:
        """A file that is there once somebody has asked it to stop."""
        return self.file(".cancel")

    def file(self, suffix: str) -> Path:
        """One of its files."""
        return self.subject_directory / JOBS_DIRECTORY / f"{self.id}{suffix}"


def new_id() -> str:
    """A name that sorts by time."""
    now = time.time_ns()
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
    return f"{second}-{now // 1000 % 10**6:06d}{secrets.token_hex(2)}"


def write_record(record: JobRecord) -> JobRecord:
    """Replace a record on disk, and set its heartbeat; gives what was written."""
    written = record.model_copy(update={"heartbeat": time.time()})
    path = record.file(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".tmp-{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        staging.write_text(written.model_dump_json(indent=1))
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
    return written


def read_record(path: Path) -> JobRecord | None:
    """A record; None where there is none, or what is there is none."""
    try:
        return JobRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None

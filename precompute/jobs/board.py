"""The jobs of a data directory, as their records say; any number of processes may look and act at once."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from precompute.jobs.processes import end_marked, end_tree, is_alive
from precompute.jobs.record import JOBS_DIRECTORY, JobError, JobRecord, JobState, read_record, write_record
from precompute.pipeline.subjects import DIRECTORY_PREFIX

LOCK_FILE = ".jobs.lock"
"""In the data directory: held for the moment in which a job is taken up or its end is judged."""
ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{10}")
KEPT = 50
"""Records of ended jobs that are kept a subject."""
SECONDS_FOR_PARENT = 10.0
"""How long the process that started a job has to say why it ended, before others judge."""
GONE_PARENT = "the server that started it has ended"
GONE = "its process ended without a word: it was killed, or the machine was restarted"


class JobBoard:
    """All jobs of a data directory. Looking creates nothing."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._known: dict[Path, tuple[int, JobRecord]] = {}
        # One object, so that a thread that holds it may take it again.
        self._lock = FileLock(self.data_dir / LOCK_FILE)

    def lock(self) -> FileLock:
        """What must be held to take up, end or judge a job."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        return self._lock

    def records(self) -> tuple[JobRecord, ...]:
        """Every job, the youngest first; one whose process is gone has ended."""
        return tuple(self.judged(record) for record in self.as_written())

    def as_written(self) -> tuple[JobRecord, ...]:
        """Every job as its record has it, the youngest first."""
        paths = self.data_dir.glob(f"{DIRECTORY_PREFIX}*/{JOBS_DIRECTORY}/*.json")
        found = [record for path in paths if (record := self._read(path)) is not None]
        return tuple(sorted(found, key=lambda record: record.id, reverse=True))

    def active(self) -> tuple[JobRecord, ...]:
        """Jobs that wait or run, the eldest first."""
        return tuple(record for record in reversed(self.records()) if record.is_active)

    def find(self, job: object) -> JobRecord:
        """The job of that name; raises JobError where there is none."""
        if isinstance(job, str) and ID.fullmatch(job):
            found = next((record for record in self.as_written() if record.id == job), None)
            if found is not None:
                return self.judged(found)
        raise JobError(f"no job {str(job)[:40]!r}; expected one of the Jobs page; reload the page")

    def cancel(self, job: object) -> None:
        """End a job and everything that it has started; returns when nothing of it lives."""
        record = self.find(job)
        if not record.is_active:
            return
        record.cancel_request.touch()
        with self.lock():
            record = self.find(job)
            if record.state == "queued":
                self.end(record, "cancelled")
                return
        if record.owner != record.submitter:  # It has begun; before that, it finds the request by itself.
            end_tree(record)
        self._wait_until_ended(record)

    def end(self, record: JobRecord, state: JobState, error: str | None = None) -> JobRecord:
        """Write how a job ended whose process cannot; to be called with the lock held."""
        changes: dict[str, Any] = {"state": state, "error": error, "ended": time.time(), "waiting": False}
        ended = record.model_copy(update=changes)
        record.file(".ballast").unlink(missing_ok=True)
        record.cancel_request.unlink(missing_ok=True)
        return write_record(ended)

    def judged(self, record: JobRecord) -> JobRecord:
        """The record, ended if the process that it names is gone."""
        if verdict(record) is None:
            return record
        try:
            with self.lock():
                now = self._read(record.file(".json")) or record
                found = verdict(now)
                if found is None:
                    return now
                end_marked(now)
                return self.end(now, *found)
        except OSError:  # Only to be read: then it is only said, not written.
            state, error = verdict(record) or ("interrupted", GONE)
            return record.model_copy(update={"state": state, "error": error})

    def clean(self, directory: Path) -> None:
        """Remove the eldest ended jobs of a subject, when there are too many."""
        mine = [r for r in self.as_written() if r.subject_directory == directory and not r.is_active]
        for record in mine[KEPT:]:
            for suffix in (".json", ".log", ".ballast", ".cancel"):
                record.file(suffix).unlink(missing_ok=True)

    def _wait_until_ended(self, record: JobRecord, seconds: float = 5.0) -> None:
        """Until the record says that the job ended; what cannot say so itself is said for it."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            now = self._read(record.file(".json"))
            if now is None or not now.is_active:
                return
            time.sleep(0.05)
        with self.lock():
            now = self._read(record.file(".json"))
            if now is not None and now.is_active and not is_alive(now.owner, now.heartbeat):
                self.end(now, "cancelled")

    def _read(self, path: Path) -> JobRecord | None:
        try:
            version = path.stat().st_mtime_ns
        except OSError:
            return None
        known = self._known.get(path)
        if known is None or known[0] != version:
            record = read_record(path)
            if record is None:
                return None
            record = record.model_copy(update={"data_dir": str(self.data_dir)})
            if record.file(".json") != path:
                return None
            known = self._known[path] = (version, record)
        return known[1]


def verdict(record: JobRecord) -> tuple[JobState, str | None] | None:
    """How a job ended whose process is gone, by what can be seen from any process; None while it lives."""
    parent_lives = is_alive(record.submitter, record.heartbeat)
    if not record.is_active or (record.state == "queued" and parent_lives):
        return None
    if record.state == "running":
        if is_alive(record.owner, record.heartbeat):
            return None
        if parent_lives and time.time() - record.heartbeat < SECONDS_FOR_PARENT:
            return None
    if record.cancel_request.exists():
        return "cancelled", None
    if record.submitter is not None and not parent_lives:
        return "interrupted", GONE_PARENT
    return "failed", GONE

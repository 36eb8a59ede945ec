"""Starting jobs: each work once, a bounded queue, and a watch over the processes that were started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from precompute.jobs.board import GONE_PARENT, JobBoard
from precompute.jobs.orders import Order, covers, new_record
from precompute.jobs.processes import (
    JOB_VARIABLE,
    SECONDS_TO_STOP,
    end_marked,
    end_tree,
    out_of_memory_kills,
    this_process,
)
from precompute.jobs.record import JobError, JobRecord, JobState, read_record, write_record

COMMAND = (sys.executable, "-m", "precompute.jobs")
SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_BETWEEN_SIGNS = 20.0
"""Between two heartbeats of a job that waits."""


@dataclass(frozen=True)
class Limits:
    """How many jobs of servers there may be on one data directory at a time."""

    running: int = 2
    waiting: int = 20


@dataclass(frozen=True)
class Submission:
    """What became of an order."""

    record: JobRecord
    attached: bool
    """Whether another order had asked for the same."""


class Launcher:
    """Submits jobs to a board, and starts and watches those that this process has submitted."""

    def __init__(
        self, board: JobBoard, command: Sequence[str] = COMMAND, limits: Limits | None = None
    ) -> None:
        self.board, self.limits = board, limits or Limits()
        self._command = tuple(command)
        self._me = this_process()
        self._queued: set[str] = set()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._starter: threading.Thread | None = None
        self._closed = False

    def submit(self, order: Order) -> Submission | None:
        """A job that does what is asked, new or already at it; None where everything is up to date.

        Raises JobError where too many wait, and UsageError for a subject that cannot be computed.
        """
        wanted = new_record(order, self._me)
        if not wanted.steps:
            return None
        with self.board.lock():
            active = self.board.active()
            known = next((record for record in active if covers(record, wanted)), None)
            if known is not None:
                return Submission(known, attached=True)
            self._check_queue(active)
            record = write_record(wanted)
            with self._lock:
                self._queued.add(record.id)
        self.board.clean(record.subject_directory)
        self._start_what_may_start()
        self._watch_queue()
        return Submission(read_record(record.file(".json")) or record, attached=False)

    def close(self) -> None:
        """Stop everything that this process has started; what was published stays, the rest can resume."""
        self._closed = True
        with self._lock:
            children, queued = dict(self._children), set(self._queued)
        for child in children.values():
            if child.stdin is not None:
                child.stdin.close()
        limit = time.monotonic() + SECONDS_TO_STOP
        for job, child in children.items():
            try:
                child.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                end_tree(self.board.find(job), 0)
        for job in queued:
            self._give_up(job)

    def _check_queue(self, active: Sequence[JobRecord]) -> None:
        n_waiting = sum(record.state == "queued" for record in active)
        if n_waiting >= self.limits.waiting:
            raise JobError(
                f"{n_waiting} jobs wait already, the most that may; "
                "wait until one has ended, or cancel one on the Jobs page"
            )

    def _start_what_may_start(self) -> None:
        """Start the eldest jobs that wait here, as many as may run beside those of other servers."""
        with self.board.lock():
            active = self.board.active()
            n_free = self.limits.running - sum(
                r.state == "running" and r.origin != "terminal" for r in active
            )
            waiting = [record for record in active if record.state == "queued"]
            with self._lock:
                self._queued &= {record.id for record in waiting}
                mine = [record for record in waiting if record.id in self._queued]
            for record in mine[: max(n_free, 0)]:
                self._start(record)
            for record in mine[max(n_free, 0) :]:
                if time.time() - record.heartbeat > SECONDS_BETWEEN_SIGNS:
                    write_record(record)

    def _start(self, record: JobRecord) -> None:
        with self._lock:
            self._queued.discard(record.id)
            if self._closed:
                return
        # Until it has begun, this process answers for it.
        begun = write_record(record.model_copy(update={"state": "running", "owner": self._me}))
        kills = out_of_memory_kills()
        try:
            with record.log.open("ab") as log:
                child = subprocess.Popen(
                    [*self._command, str(record.file(".json"))],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, JOB_VARIABLE: record.id},
                )
        except OSError as error:
            self.board.end(begun, "failed", f"its process could not be started ({error})")
            return
        with self._lock:
            self._children[record.id] = child
        watch = threading.Thread(target=self._watch, args=(begun, child, kills), daemon=True)
        watch.start()

    def _watch(self, record: JobRecord, child: subprocess.Popen[bytes], kills: int) -> None:
        """Wait for a job's process; if it could not say how it ended, say it."""
        code = child.wait()
        end_marked(record)
        with self.board.lock():
            now = read_record(record.file(".json"))
            if now is not None and now.is_active:
                self.board.end(now, *self._verdict(now, words_for(code, out_of_memory_kills() > kills)))
        with self._lock:
            self._children.pop(record.id, None)
        if child.stdin is not None:
            child.stdin.close()
        self._wake.set()

    def _verdict(self, record: JobRecord, words: str) -> tuple[JobState, str | None]:
        if record.cancel_request.exists():
            return "cancelled", None
        return ("interrupted", GONE_PARENT) if self._closed else ("failed", words)

    def _watch_queue(self) -> None:
        with self._lock:
            if self._starter is None or not self._starter.is_alive():
                self._starter = threading.Thread(target=self._start_in_turn, name="jobs", daemon=True)
                self._starter.start()

    def _start_in_turn(self) -> None:
        while not self._closed:
            self._wake.wait(SECONDS_BETWEEN_LOOKS)
            self._wake.clear()
            self._start_what_may_start()
            with self._lock:
                if not self._queued:
                    self._starter = None
                    return

    def _give_up(self, job: str) -> None:
        with self.board.lock():
            record = self.board.find(job)
            if record.state == "queued":
                self.board.end(record, "interrupted", GONE_PARENT)


def words_for(code: int, memory_ran_out: bool) -> str:
    """Why a process ended that left no word."""
    if memory_ran_out:
        return "the system killed its process because memory ran out; free some, or use fewer --workers"
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL); if nobody did it, memory ran out"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}; the log may say more"
    return f"its process ended with exit code {code} and no word; the log may say more"

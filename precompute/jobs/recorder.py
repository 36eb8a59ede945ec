"""Keeping the record of a run while it runs: written by the process that computes, and by no other."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from precompute.errors import LightwellError
from precompute.jobs.processes import this_process
from precompute.jobs.record import JobRecord, JobState, StepDone, write_record
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.step import Step
from precompute.pipeline.terminal import TerminalReporter
from precompute.progress import Cancelled, Progress

SECONDS_BETWEEN_WRITES = 0.5
SECONDS_BETWEEN_HEARTBEATS = 5.0
SECONDS_BETWEEN_LINES = 10.0
"""Between two lines on progress in a log."""
BALLAST_BYTES = 65_536
"""Kept on disk while a job runs, so that its last words fit on a disk that is full."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
TOLD = "it was told to stop"
Stop = Literal["cancelled", "interrupted"]


class Recorder:
    """The record of a run that this process makes; safe to use from several threads."""

    def __init__(self, record: JobRecord, lines: bool = False) -> None:
        self.record = record
        self.stopping: Stop | None = None
        """Set once the run has been told to stop."""
        self.told = threading.Event()
        """Set with it, for whoever waits."""
        self._why = TOLD
        self._lines = lines
        """Whether progress is also written to standard error, line by line."""
        self._lock = threading.RLock()
        self._written = self._line = 0.0
        self._began = 0.0
        self._dirty = self._ended = False

    @property
    def has_begun(self) -> bool:
        """Whether there is a record on disk."""
        return self.record.state == "running" and self.record.owner is not None and self._written > 0

    def begin(self) -> None:
        """Say that this process computes; from here on there is a record, and it is kept up."""
        me, now = this_process(), time.time()
        with self._lock:
            if self.has_begun:
                return
            self._write(owner=me, state="running", started=now)
            self._make_ballast()
        threading.Thread(target=self._keep_up, name="job-record", daemon=True).start()

    def update(self, **changes: Any) -> None:
        """Change the record; it is written soon."""
        with self._lock:
            self.record = self.record.model_copy(update=changes)
            self._dirty = True

    def advance(self, n: int = 1) -> None:
        """Count units of the step at work."""
        with self._lock:
            n_done = self.record.n_done + n
            seconds = time.monotonic() - self._began
            rate = n_done / seconds if seconds > 0 else None
            self.update(n_done=n_done, rate=rate)
        if self.stopping is not None:
            raise Cancelled

    def start(self, total: int, unit: str) -> None:
        """Begin to count."""
        with self._lock:
            self._began = time.monotonic()
            self.update(n_done=0, n_total=total, unit=unit, rate=None, waiting=False)

    def flush(self) -> None:
        """Write what has changed, now."""
        with self._lock:
            if self._dirty and self.has_begun and not self._ended:
                self._write()

    def end(self, state: JobState, error: str | None = None) -> None:
        """The last word on the run; what comes after it changes nothing."""
        with self._lock:
            if self._ended or not self.has_begun:
                return
            last = {"state": state, "error": error, "ended": time.time(), "waiting": False}
            try:
                self._write(**last)
            except OSError:
                self.record.file(".ballast").unlink(missing_ok=True)
                self._write(**last)
            self._ended = True
            self.record.cancel_request.unlink(missing_ok=True)
            self.record.file(".ballast").unlink(missing_ok=True)

    def end_stopped(self) -> None:
        """The last word on a run that was told to stop."""
        asked: Stop = "cancelled" if self.record.cancel_request.exists() else "interrupted"
        stopped = self.stopping or asked
        self.end(stopped, None if stopped == "cancelled" else self._why)

    def stop(self, how: Stop, why: str = TOLD) -> None:
        """Tell the run to stop; its main thread learns it by a signal, wherever it is."""
        with self._lock:
            if self.stopping is None:
                self.stopping, self._why = how, why
        self.told.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def _write(self, **changes: Any) -> None:
        self.record = write_record(self.record.model_copy(update=changes))
        self._written, self._dirty = time.monotonic(), False

    def _make_ballast(self) -> None:
        try:
            self.record.file(".ballast").write_bytes(os.urandom(BALLAST_BYTES))
        except OSError:
            return  # The disk is full already; the step will say so.

    def _keep_up(self) -> None:
        while not self._ended:
            time.sleep(SECONDS_BETWEEN_WRITES)
            with self._lock:
                due = time.monotonic() - self._written > SECONDS_BETWEEN_HEARTBEATS
                if not self._ended and (self._dirty or due):
                    self._try_to_write()
                self._say()
            if self.stopping is None and self.record.cancel_request.exists():
                self.stop("cancelled")

    def _try_to_write(self) -> None:
        try:
            self._write()
        except OSError as error:
            # A full disk is the step's to report; a record that is a little old harms nobody.
            if error.errno not in NO_SPACE:
                print(f"the job's record cannot be written: {error}", file=sys.stderr, flush=True)

    def _say(self) -> None:
        """A line on progress for the log."""
        now, record = time.monotonic(), self.record
        if not self._lines or self._ended or now - self._line < SECONDS_BETWEEN_LINES or not record.n_done:
            return
        self._line = now
        share = f"{100 * record.n_done / record.n_total:.0f} % of " if record.n_total else ""
        left = "" if record.seconds_left is None else f", {record.seconds_left:,.0f} s left"
        line = f"{share}{record.n_total:,} {record.unit}, {record.rate or 0:,.0f}/s{left}"
        print(f"    {record.step}: {line}", file=sys.stderr, flush=True)


class _Both:
    """Progress that is shown and recorded."""

    def __init__(self, shown: Progress, recorder: Recorder) -> None:
        self._shown, self._recorder = shown, recorder

    def start(self, total: int, unit: str) -> None:
        """Begin to count."""
        self._shown.start(total, unit)
        self._recorder.start(total, unit)

    def advance(self, n: int = 1) -> None:
        """Count; raises Cancelled once the run was told to stop."""
        self._shown.advance(n)
        self._recorder.advance(n)


class RecordingReporter:
    """Tells a terminal what happens, and the record."""

    def __init__(self, shown: TerminalReporter, recorder: Recorder) -> None:
        self._shown, self._recorder = shown, recorder

    def started(self, step: Step, reason: str) -> Progress:
        """A step begins."""
        self._recorder.begin()
        nothing = {"n_done": 0, "n_total": 0, "unit": "", "rate": None}
        self._recorder.update(step=step.name, reason=reason, waiting=False, **nothing)
        self._recorder.flush()
        return _Both(self._shown.started(step, reason), self._recorder)

    def waiting(self, step: Step) -> None:
        """Another process computes the step."""
        self._recorder.begin()
        self._recorder.update(step=step.name, waiting=True, n_done=0, n_total=0, unit="", rate=None)
        self._recorder.flush()
        self._shown.waiting(step)

    def ended(self, status: StepStatus) -> None:
        """A step was computed."""
        done = StepDone(step=status.step, seconds=status.seconds or 0, n_bytes=status.n_bytes)
        self._recorder.update(done=(*self._recorder.record.done, done), step=None)
        self._recorder.flush()
        self._shown.ended(status)

    def left_out(self, step: Step, reason: str) -> None:
        """A step cannot be computed."""
        self._shown.left_out(step, reason)


def recorded(recorder: Recorder, work: Callable[[], Any]) -> Any:
    """Do the work, and end the record as the work ends; its error is raised again."""
    try:
        result = work()
    except (Cancelled, KeyboardInterrupt):
        recorder.end_stopped()
        raise
    except BaseException as error:
        recorder.end("failed", in_words(error))
        raise
    recorder.end("finished")
    return result


def in_words(error: BaseException) -> str:
    """Why a run failed, for a person."""
    if isinstance(error, LightwellError):
        return str(error)
    if isinstance(error, MemoryError):
        return "memory ran out; free some, or run with a smaller --batch-size or fewer --workers"
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return f"no space left on the disk ({error.filename or 'while writing'}); free some and run again"
    if isinstance(error, SystemExit):
        return f"a step ended its own process (sys.exit({error.code!r})); the log has what it printed"
    message = " ".join(str(error).split())[:300]
    return f"an unexpected error, {type(error).__name__}: {message}; the log has the details"

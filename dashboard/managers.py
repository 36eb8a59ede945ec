"""Where background callbacks run: in threads of the server, or with Redis in Celery's workers.

They only submit and follow: the work itself is a job, a process of its own with a record on disk. So nothing
of theirs is worth keeping, and ending one ends no work.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache
import psutil
from dash import DiskcacheManager

if TYPE_CHECKING:
    from celery import Celery
    from dash import CeleryManager

REDIS_VARIABLE = "REDIS_URL"
N_THREADS = 16
"""More than follow at the same time, so that somebody can always submit."""
SECONDS_KEPT = 30.0
"""How long an answer waits for its browser."""
DIRECTORY_PREFIX = "lightwell-callbacks-"


class ThreadManager(DiskcacheManager):
    """Runs background callbacks in threads of the server.

    Dash's own forks the server for each, which would hang Polars, has no limit, and outlives the server.
    """

    def __init__(self) -> None:
        self.directory = private_directory()
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        self._threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="callback")
        self._running: dict[str, Future[Any]] = {}
        self._ended: dict[str, float] = {}
        self._secret: bytes | None = None
        self._lock = threading.Lock()
        # Values as JSON: a pickle that somebody else had put there would be run.
        cache = diskcache.Cache(str(self.directory), disk=diskcache.JSONDisk)
        super().__init__(cache, expire=SECONDS_KEPT)  # type: ignore[no-untyped-call]

    def build_cache_key(self, *_arguments: Any, **_options: Any) -> str:
        """A key of its own for each call: equal calls of two tabs would take each other's answers."""
        return uuid.uuid4().hex

    def call_job_fn(self, key: str, job_fn: Callable[..., Any], args: Any, context: Any) -> str:
        """Run the callback soon; gives the name under which it is known."""
        job = uuid.uuid4().hex
        future = self._threads.submit(job_fn, key, progress_key(key), args, context)
        with self._lock:
            self._running[job] = future
        future.add_done_callback(lambda _: self._note_end(job))
        return job

    def job_running(self, job: Any) -> bool:
        """Whether a call is at work, or its answer may still be on its way."""
        with self._lock:
            if str(job) in self._running:
                return True
            return time.monotonic() - self._ended.get(str(job), -SECONDS_KEPT) < SECONDS_KEPT / 10

    def terminate_job(self, job: Any) -> None:
        """Nothing: who follows ends with what it follows."""

    def terminate_unhealthy_job(self, _job: Any) -> bool:
        """Nothing either."""
        return False

    def get_or_create_signing_secret(self, generate: Callable[[], bytes]) -> bytes:
        """One secret for this server, never written."""
        with self._lock:
            if self._secret is None:
                self._secret = generate()
            return self._secret

    def close(self) -> None:
        """Take no more calls, and remove what was kept."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.handle.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _note_end(self, job: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._running.pop(job, None)
            self._ended = {j: t for j, t in self._ended.items() if now - t < SECONDS_KEPT} | {job: now}


def private_directory() -> Path:
    """A new directory that only this user can read; those of servers that were killed are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"):
        number = old.name.removeprefix(DIRECTORY_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdecimal() and not psutil.pid_exists(int(number)) and old.owner() == _me():
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{DIRECTORY_PREFIX}{psutil.Process().pid}-"))


def _me() -> str:
    return str(psutil.Process().username())


def progress_key(key: str) -> str:
    """Under which Dash looks for how far a callback is."""
    return f"{key}-progress"


def celery_manager(celery: Celery, place: dict[str, Any]) -> CeleryManager:
    """A manager whose callbacks run in the workers of a Celery application.

    `place` goes with each call: where the data is, which no browser may say.
    """
    from dash import CeleryManager

    class Manager(CeleryManager):
        def build_cache_key(self, *_arguments: Any, **_options: Any) -> str:
            return uuid.uuid4().hex

        def call_job_fn(self, key: str, job_fn: Any, args: Any, _context: Any) -> str:
            task = job_fn.delay(key, progress_key(key), [*args, place], {})
            return str(task.task_id)

        def terminate_job(self, _job: Any) -> None:
            """Nothing: it would kill the worker, and the jobs that it has started."""

        def terminate_unhealthy_job(self, _job: Any) -> bool:
            return False

        def close(self) -> None:
            self.handle.close()

    return Manager(celery)  # type: ignore[no-untyped-call]

"""Celery's worker for background callbacks: `python -m dashboard.worker`, on any host that sees the data.

A server whose REDIS_URL is set starts one of its own; others take their share of what is ordered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import Dash

from dashboard.callbacks import register_compute
from dashboard.jobs import Jobs
from dashboard.managers import REDIS_VARIABLE, celery_manager
from dashboard.settings import DashboardSettings
from precompute.command_line import run_command
from precompute.errors import UsageError

if TYPE_CHECKING:
    from celery import Celery

CHILD_VARIABLE = "LIGHTWELL_WORKER_OF"
"""Set for the worker that a server has started, and which ends with it."""
QUEUE = "lightwell"
SECONDS_TO_STOP = 4.0
_opened: list[Jobs] = []
"""What this worker has been asked for; to be closed when it ends."""


def application(url: str) -> Celery:
    """The Celery application; raises UsageError where Redis does not answer, or a package is missing."""
    try:
        import redis
        from celery import Celery
    except ImportError:
        raise UsageError(
            f"{REDIS_VARIABLE} without the package celery", "it installed", "pip install 'celery[redis]'"
        ) from None
    try:
        redis.from_url(url, socket_connect_timeout=3).ping()
    except (redis.RedisError, ValueError) as error:
        raise UsageError(
            f"{REDIS_VARIABLE}, where no Redis answers ({type(error).__name__})",
            "a running Redis, such as redis://127.0.0.1:6379/0",
            f"start it, or unset {REDIS_VARIABLE}",
        ) from None
    celery = Celery("lightwell", broker=url, backend=url)
    celery.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_expires=3600,
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    return celery


def place_of(settings: DashboardSettings, jobs: Jobs) -> dict[str, Any]:
    """Where a worker finds what a server shows."""
    config = settings.config
    return {
        "data_dir": str(jobs.board.data_dir),
        "config": str(config.absolute()) if config else None,
        "workers": settings.workers,
    }


@cache
def _jobs(data_dir: str, config: str | None, workers: int | None) -> Jobs:
    chosen = Path(config) if config else None
    jobs = Jobs(DashboardSettings(data_dir=Path(data_dir), config=chosen, workers=workers))
    _opened.append(jobs)
    return jobs


def jobs_at(place: dict[str, Any]) -> Jobs:
    """The jobs of a server, as this worker submits and follows them."""
    return _jobs(place["data_dir"], place["config"], place["workers"])


class WorkerProcess:
    """A worker that lives as long as the server that started it."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # Its banner.
            env={**os.environ, REDIS_VARIABLE: url, CHILD_VARIABLE: str(os.getpid())},
            start_new_session=True,
        )

    def close(self) -> None:
        """End it; jobs that it has started are stopped, resumably."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(_argv: list[str]) -> int:
    """Work until stopped."""
    url = os.environ.get(REDIS_VARIABLE)
    if not url:
        raise UsageError(f"no {REDIS_VARIABLE}", "the address of a Redis", f"set {REDIS_VARIABLE}")
    celery = application(url)
    register_compute(Dash(__name__), celery_manager(celery, {}), jobs_at)
    if CHILD_VARIABLE in os.environ:
        threading.Thread(target=_end_with_server, daemon=True).start()
    # Threads, not processes: they only follow, and the jobs that they start must not end with a task.
    options = ["--pool", "threads", "--concurrency", "32", "--loglevel", "WARNING"]
    try:
        celery.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "-n", _name()])
    finally:
        close_all()
    return 0


def _name() -> str:
    return f"lightwell-{os.getpid()}@%h"


def close_all() -> None:
    """Stop the jobs that this worker has started."""
    for jobs in _opened:
        jobs.close()


def _end_with_server() -> None:
    """The server keeps the other end of standard input open for as long as it lives."""
    while os.read(0, 1024):
        pass
    close_all()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run_command(main))

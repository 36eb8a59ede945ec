"""Executors beyond one machine: a Dask cluster that runs already, or one that is started through SLURM."""

from __future__ import annotations

import gc
import logging
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from precompute.errors import UsageError, WorkerLostError
from precompute.executors.executor import Executor, Item, Opening, Result, in_order
from precompute.executors.pieces import Order, program, run_piece

SECONDS_TO_CONNECT = 15
LEAST_MEMORY = 10**8
"""Bytes in which a worker can start at all."""
SECONDS_BETWEEN_COUNTS = 1.0
"""How old the number of workers may be that decides how many pieces are in flight."""


class DaskCluster(Executor):
    """A cluster of Dask, reached when the first pieces come.

    A piece whose worker dies is given to another; one whose workers died more often than Dask's own setting
    `distributed.scheduler.allowed-failures` (3) ends the run.
    """

    def __init__(self, connect: Callable[[], Any], say: Callable[[str], None]) -> None:
        self._connect, self._say = connect, say
        self._client: Any = None
        self._run, self._n_maps = uuid4().hex, 0
        self._n_threads, self._counted = 1, 0.0

    def map(
        self, opening: Opening[Item, Result], items: Iterable[Item], sees: Path | None = None
    ) -> Iterator[Result]:
        """As for every executor."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        self._n_maps += 1
        order = Order(self._run, self._n_maps, opening, sees, program())
        self._connected()

        def submit(item: Item) -> Any:
            return self._reached().submit(run_piece, order, item, pure=False)

        try:
            yield from in_order(submit, items, self._most)
        except KilledWorker as error:
            raise WorkerLostError(
                f"a piece was lost with {error.allowed_failures + 1} workers, one after the other; "
                "if nobody ended them, their memory ran out: give them more, and run the same command again"
            ) from None
        except (CancelledError, CommClosedError):
            raise _unreached() from None

    def at_once(self) -> int:
        """The threads of all workers of the machine that has most; waits for a first worker."""
        client = self._connected()
        client.wait_for_workers(1)
        threads: Counter[str] = Counter()
        for address, n_threads in client.nthreads().items():
            threads[address.rpartition(":")[0]] += n_threads
        return max(threads.values(), default=1)

    def close(self) -> None:
        """Leave the cluster; it goes on without this run's pieces."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            # What goes wrong is said in one line, by what is raised.
            logging.getLogger("distributed").setLevel(logging.ERROR)
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            self._client = self._connect()
            if not self._client.nthreads():
                self._say("waiting for workers")
        return self._client

    def _reached(self) -> Any:
        """The client; raises WorkerLostError where it has lost the scheduler, as between two steps."""
        if self._client.status != "running":
            raise _unreached()
        return self._client

    def _most(self) -> int:
        """Twice as many pieces in flight as work at once; workers come and go."""
        if time.monotonic() - self._counted > SECONDS_BETWEEN_COUNTS:
            self._n_threads = sum(self._reached().nthreads().values())
            self._counted = time.monotonic()
        return 2 * max(1, self._n_threads)


def _unreached() -> WorkerLostError:
    return WorkerLostError(
        "the connection to the Dask scheduler was lost; run the same command again to go on"
    )


def connected(address: str) -> Any:
    """A client of the scheduler at an address; raises UsageError where there is none."""
    from distributed import Client

    try:
        return Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:  # TypeError: TLS that is not configured
        reason = " ".join(str(error).split()) or type(error).__name__
    # What is left of the client is collected here: in the thread that the next one starts, it would wait
    # for the lock under which that thread is started.
    gc.collect()
    remedy = "start one with `dask scheduler` and workers with `dask worker ADDRESS`"
    raise UsageError(f"no answer from {address} ({reason})", "a Dask scheduler", remedy)


@dataclass(frozen=True)
class SlurmJobs:
    """The SLURM jobs to start, each one Dask worker. What is None is as Dask's `jobqueue.slurm` has it."""

    jobs: int = 1
    cores: int | None = None
    """Cores of a job, and pieces that it works on at the same time."""
    memory: str | None = None
    """Memory of a job, such as 16GB."""
    walltime: str | None = None
    """The longest that a job may run: HH:MM:SS."""
    partition: str | None = None


class SlurmCluster(DaskCluster):
    """A Dask cluster of SLURM jobs, started when the first pieces come; a lost job is submitted anew."""

    def __init__(self, chosen: SlurmJobs, say: Callable[[str], None]) -> None:
        super().__init__(self._submitted, say)
        self._chosen = chosen
        self._cluster: Any = None

    def at_once(self) -> int:
        """The cores of a job."""
        return self._chosen.cores or super().at_once()

    def close(self) -> None:
        """Cancel the jobs."""
        super().close()
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _submitted(self) -> Any:
        from distributed import Client

        self._cluster = _slurm_cluster(self._chosen)
        self._cluster.adapt(minimum_jobs=self._chosen.jobs, maximum_jobs=self._chosen.jobs)
        self._say(f"submitted {self._chosen.jobs} jobs to SLURM")
        return Client(self._cluster, set_as_default=False)


def _slurm_cluster(chosen: SlurmJobs) -> Any:
    from dask import config

    before = signal.getsignal(signal.SIGINT)
    from dask_jobqueue.slurm import SLURMCluster

    # Importing it has taken Ctrl-C away: it would end the process in silence, with exit code 0.
    signal.signal(signal.SIGINT, before)
    named: dict[str, Any] = {
        "cores": chosen.cores,
        "memory": chosen.memory,
        "walltime": chosen.walltime,
        "queue": chosen.partition,
    }
    for name in ("cores", "memory"):
        if (named[name] or config.get(f"jobqueue.slurm.{name}", None)) is None:
            expected = "it, or a value in Dask's configuration of jobqueue.slurm"
            raise UsageError(f"--executor slurm without --{name}", expected, f"add --{name}")
    given = {name: value for name, value in named.items() if value is not None}
    if chosen.memory is not None:
        _check_memory(chosen.memory)
    cluster = SLURMCluster(processes=1, scheduler_options={"dashboard_address": ":0"}, **given)
    try:
        _check_job(cluster.job_script())
    except BaseException:
        cluster.close()
        raise
    return cluster


def _check_memory(text: str) -> None:
    """Raise UsageError for what is no memory of a job; jobqueue itself would fail half-made."""
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError:
        size = 0
    if size < LEAST_MEMORY:
        raise UsageError(f"--memory {text}", "the memory of a job, such as 16GB", "correct --memory")


def _check_job(script: str) -> None:
    """Raise UsageError for a job that SLURM would not take; it is not submitted."""
    try:
        tried = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise UsageError("no command sbatch", "a machine that submits to SLURM", "run it there") from None
    if tried.returncode:
        reason = " ".join(tried.stderr.split())
        expected = "a partition with nodes of so many cores, so much memory and such a walltime"
        raise UsageError(f"SLURM that does not take the job ({reason})", expected, "correct the options")

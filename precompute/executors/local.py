"""Executors of one machine: threads, and processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from uuid import uuid4

from precompute.errors import WorkerLostError
from precompute.executors.executor import Executor, Item, Opening, Result, in_order
from precompute.executors.pieces import Order, program, run_piece


class Threads(Executor):
    """Threads of this process: the work is in compiled code that lets go of the interpreter lock.

    What pieces read is opened once, and memory holds it once.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(
        self, opening: Opening[Item, Result], items: Iterable[Item], sees: Path | None = None
    ) -> Iterator[Result]:
        """As for every executor."""
        del sees  # There is one process, which sees what it sees.
        function = opening()
        if self.workers <= 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            yield from in_order(lambda item: pool.submit(function, item), items, lambda: 2 * self.workers)

    def at_once(self) -> int:
        """As many as it has workers."""
        return max(1, self.workers)

    def close(self) -> None:
        """Nothing is left to end."""


class Processes(Executor):
    """Processes of this machine, which live until the run ends; each opens what the pieces read."""

    def __init__(self, workers: int) -> None:
        self.workers, self._run, self._n_maps = workers, uuid4().hex, 0
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, opening: Opening[Item, Result], items: Iterable[Item], sees: Path | None = None
    ) -> Iterator[Result]:
        """As for every executor."""
        self._n_maps += 1
        order = Order(self._run, self._n_maps, opening, sees, program())
        try:
            pool = self._started()
            yield from in_order(
                lambda item: pool.submit(run_piece, order, item), items, lambda: 2 * self.workers
            )
        except BrokenProcessPool:
            self._pool = None
            raise WorkerLostError(
                "a worker process ended without a word (if nobody killed it, memory ran out); "
                "run the same command again to go on, with fewer --workers or --executor threads"
            ) from None

    def at_once(self) -> int:
        """As many as it has workers."""
        return max(1, self.workers)

    def close(self) -> None:
        """End the processes; pieces that have not begun are left."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            import multiprocessing

            # Never forked: Polars and torch hang after that.
            spawned = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=spawned, initializer=_begin, initargs=(self.workers,)
            )
        return self._pool


def _begin(workers: int) -> None:
    """Make a new process leave Ctrl-C to the one that started it, share the cores, and end with it."""
    import signal
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(max(1, (os.cpu_count() or 1) // workers))
    parent = parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()

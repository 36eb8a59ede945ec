"""What every executor must keep to; each one's tests inherit this."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from precompute.errors import StoreError, UsageError
from precompute.executors.executor import Executor


def squaring(offset: int = 0) -> Callable[[int], int]:
    return lambda n: n * n + offset


def backwards(n_items: int) -> Callable[[int], int]:
    """Later pieces are done earlier."""

    def one(n: int) -> int:
        time.sleep(0.01 * (n_items - n) / n_items)
        return n

    return one


def noting(directory: Path) -> Callable[[int], int]:
    """Leaves a file for each time that it is opened, and for each piece."""
    (directory / f"opened-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}").touch()

    def one(n: int) -> int:
        (directory / f"piece-{n}").touch()
        return n

    return one


def failing(directory: Path) -> Callable[[int], int]:
    """Piece 1 fails; piece 0 ends only when it is let go."""

    def one(n: int) -> int:
        (directory / f"piece-{n}").touch()
        if n == 1:
            raise StoreError(f"piece {n}", "another", "leave it out")
        end = time.monotonic() + 100
        while n == 0 and not (directory / "let-go").exists() and time.monotonic() < end:
            time.sleep(0.01)
        (directory / f"ended-{n}").touch()
        return n

    return one


def where() -> Callable[[int], int]:
    return lambda _: os.getpid()


class ExecutorContract:
    """The fixture `executor` has two workers."""

    remote = True
    """Whether pieces run in other processes."""

    def test_results_come_in_the_order_of_the_items(self, executor: Executor) -> None:
        assert list(executor.map(partial(squaring, 1), range(50))) == [n * n + 1 for n in range(50)]
        assert list(executor.map(partial(backwards, 20), range(20))) == list(range(20))
        assert list(executor.map(squaring, [])) == []

    def test_pieces_run_where_it_says(self, executor: Executor) -> None:
        found = set(executor.map(where, range(20)))
        assert (os.getpid() in found) != self.remote

    def test_what_pieces_read_is_opened_once_in_each_process(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        assert list(executor.map(partial(noting, tmp_path), range(30), tmp_path)) == list(range(30))
        opened = [path.name.split("-")[1] for path in tmp_path.glob("opened-*")]
        assert 1 <= len(opened) == len(set(opened)) <= 2

    def test_few_pieces_are_in_flight(self, executor: Executor, tmp_path: Path) -> None:
        taken = []

        def items() -> Iterator[int]:
            for n in range(100):
                taken.append(n)
                yield n

        found = executor.map(squaring, items())
        for n in range(30):
            assert next(found) == n * n
            assert len(taken) <= n + 1 + 8
        found.close()  # type: ignore[attr-defined]
        assert list(executor.map(squaring, range(5))) == [0, 1, 4, 9, 16]

    def test_an_error_is_raised_at_once_as_it_was_and_the_rest_is_left(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        if not self.remote:  # A thread cannot be left alone.
            (tmp_path / "let-go").touch()
        with pytest.raises(StoreError, match=r"^piece 1; expected another; leave it out$"):
            list(executor.map(partial(failing, tmp_path), range(1000), tmp_path))
        assert (tmp_path / "ended-0").exists() != self.remote
        (tmp_path / "let-go").touch()
        assert len(list(tmp_path.glob("piece-*"))) < 100

    def test_a_directory_that_workers_do_not_see_is_named(self, executor: Executor, tmp_path: Path) -> None:
        missing = tmp_path / "elsewhere"
        if not self.remote:
            pytest.skip("there is one process, which sees what it sees")
        with pytest.raises(UsageError, match=rf"does not see {missing}; expected a data directory"):
            list(executor.map(squaring, range(4), missing))

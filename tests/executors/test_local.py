"""Executors of one machine: the contract, and how processes end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from precompute.errors import UsageError, WorkerLostError
from precompute.executors import pieces
from precompute.executors.executor import Executor
from precompute.executors.local import Processes, Threads
from tests.executors.executor_contract import ExecutorContract, squaring


class TestThreads(ExecutorContract):
    remote = False

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        with Threads(2) as made:
            yield made


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as made:
        yield made


class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self, processes: Processes) -> Executor:
        return processes


def dying() -> Callable[[int], int]:
    return lambda n: os.kill(os.getpid(), signal.SIGKILL) or n


def test_a_process_that_is_killed_is_said_in_one_line() -> None:
    with Processes(2) as executor:
        with pytest.raises(WorkerLostError, match=r"ended without a word .* with fewer --workers"):
            list(executor.map(dying, range(4)))
        assert list(executor.map(squaring, range(3))) == [0, 1, 4]


def test_a_worker_with_another_program_is_refused() -> None:
    with Processes(1) as executor:
        with (
            patch("precompute.executors.local.program", lambda: "another"),
            pytest.raises(UsageError, match="another version of Lightwell"),
        ):
            list(executor.map(squaring, range(3)))
        assert list(executor.map(squaring, range(3))) == [0, 1, 4]


def test_a_program_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "executors").mkdir()
    file = tmp_path / "executors" / "pieces.py"
    file.write_text("a = 1\n")

    def known() -> str:
        with patch.object(pieces, "__file__", str(file)):
            return pieces.program.__wrapped__()

    first = known()
    assert "numpy" in first
    assert known() == first
    file.write_text("a = 2\n")
    assert known() != first


SLEEPING = """
import sys, time
from precompute.executors.local import Processes
from tests.executors.test_local import sleeping

if __name__ == "__main__":
    list(Processes(2).map(sleeping, range(10)))
"""


def sleeping() -> Callable[[int], None]:
    return lambda _: time.sleep(60)


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SLEEPING)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen([sys.executable, str(script)], env=environment)
    found: list[psutil.Process] = []
    end = time.monotonic() + 60
    while len(found) < 3 and time.monotonic() < end:  # Two workers, and what tracks their semaphores.
        found = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.1)
    assert len(found) >= 3
    time.sleep(1)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(found, timeout=20)
    for left in alive:
        left.kill()
    assert alive == []

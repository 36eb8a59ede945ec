"""A Dask cluster of this machine, out of processes that tests may kill; all it starts, it stops by pid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cluster:
    """A scheduler, and workers of one thread."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.workers = directory, dict[str, subprocess.Popen[bytes]]()
        self.file, self.address = directory / "scheduler.json", ""
        arguments = [
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(self.file),
        ]
        self.scheduler = self._start("scheduler", arguments)

    def begin(self) -> None:
        """Wait until the scheduler can be reached."""
        end = time.monotonic() + 120
        while not self.file.exists() or not self.file.read_text().endswith("}"):
            assert time.monotonic() < end, (self.directory / "scheduler.log").read_text()
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def add(self, name: str) -> None:
        """Start a worker, without a nanny that would start it again."""
        arguments = [self.address, "--name", name, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
        scratch = ["--local-directory", str(self.directory / name), "--host", "127.0.0.1"]
        self.workers[name] = self._start("worker", [*arguments, *scratch])

    def kill(self, name: str) -> None:
        """End a worker by SIGKILL."""
        self.workers[name].kill()
        self.workers.pop(name).wait()

    def wait_for(self, n_workers: int) -> None:
        """Wait until so many workers have joined."""
        from distributed import Client

        if n_workers:
            with Client(self.address, set_as_default=False) as client:
                client.wait_for_workers(n_workers, 120)

    def stop(self) -> None:
        """End all."""
        for process in [*self.workers.values(), self.scheduler]:
            process.terminate()
        for process in [*self.workers.values(), self.scheduler]:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, kind: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        with (self.directory / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
                start_new_session=True,
            )


@contextmanager
def cluster(directory: Path, *names: str) -> Iterator[Cluster]:
    """A running cluster with workers of these names."""
    made = Cluster(directory)
    try:
        made.begin()
        for name in names:
            made.add(name)
        made.wait_for(len(names))
        yield made
    finally:
        made.stop()

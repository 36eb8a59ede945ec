"""A command in a process of its own: how long it takes, and the most memory that it held."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Ran:
    """A command that has ended well."""

    said: str
    """What it wrote, standard output and error in one."""
    seconds: float
    """Of the clock, from starting the process to its end."""
    cpu_seconds: float
    """User and system, of the process and of those below it that it has waited for."""
    anonymous: int
    """Bytes of anonymous memory at its height."""
    mapped: int
    """Bytes of mapped files in memory at that time or another."""
    resident: int
    """Bytes of both at their common height; what several processes share counts once for each."""


@dataclass(frozen=True)
class Held:
    """What a process has in memory at one time, in bytes."""

    anonymous: int = 0
    mapped: int = 0


class Watch:
    """The most memory that a process and those below it held, looked at twenty times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self.anonymous, self.mapped, self.resident = 0, 0, 0
        self._process, self._ended = process, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            found = [_memory(process.pid) for process in self._all()]
            anonymous, mapped = sum(held.anonymous for held in found), sum(held.mapped for held in found)
            self.anonymous = max(self.anonymous, anonymous)
            self.mapped = max(self.mapped, mapped)
            self.resident = max(self.resident, anonymous + mapped)

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _memory(pid: int) -> Held:
    """Nothing where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return Held()
    fields = dict(line.split(":", 1) for line in text.splitlines())
    kept = (fields.get(name, "0 kB") for name in ("RssAnon", "RssFile"))
    anonymous, mapped = (int(value.split()[0]) * 1024 for value in kept)
    return Held(anonymous, mapped)


def run_watched(command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end. Raises RuntimeError with the command's words where it fails."""
    before, start = _cpu_seconds_of_ended(), time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        with Watch(psutil.Process(running.pid)) as watch:
            said, _ = running.communicate()
            seconds = time.perf_counter() - start
        if running.returncode:
            raise RuntimeError(said)
    cpu_seconds = _cpu_seconds_of_ended() - before
    return Ran(said, seconds, cpu_seconds, watch.anonymous, watch.mapped, watch.resident)


def _cpu_seconds_of_ended() -> float:
    """User and system seconds of all processes that this one has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

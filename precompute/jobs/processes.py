"""Processes of jobs: who is alive, and ending one with all that it has started."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from precompute.jobs.record import JobRecord, Owner

JOB_VARIABLE = "LIGHTWELL_JOB"
"""In the environment of a job's process and of all that it starts: its id."""
SECONDS_TO_STOP = 3.0
"""How long a job that was told to stop may take; what is published is whole at any moment."""
HEARTBEAT_LIMIT = 60.0
"""Seconds without a heartbeat after which a job of another machine counts as gone."""
MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")


def this_process() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    return Owner(host=socket.gethostname(), pid=pid, started=psutil.Process(pid).create_time())


def process_of(owner: Owner | None) -> psutil.Process | None:
    """The owner's process on this machine, if it is still the same one and not a zombie."""
    if owner is None or owner.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(owner.pid)
        same = abs(process.create_time() - owner.started) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def is_alive(owner: Owner | None, heartbeat: float) -> bool:
    """Whether a process lives; one of another machine is judged by its heartbeat."""
    if owner is None:
        return False
    if owner.host != socket.gethostname():
        return time.time() - heartbeat < HEARTBEAT_LIMIT
    return process_of(owner) is not None


def started_by(job: str) -> list[psutil.Process]:
    """Living processes on this machine that carry a job's mark, wherever they hang in the tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(JOB_VARIABLE) == job:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # It ended meanwhile, or is somebody else's.
    return found


def end_tree(record: JobRecord, seconds: float = SECONDS_TO_STOP) -> None:
    """End a job's process and everything that it has started: asked first, killed after some seconds.

    A process that left the tree is found by the job's mark; a command's own have none, since they share the
    environment of a shell.
    """
    process = process_of(record.owner)
    found = [] if process is None else _below(process)
    if process is not None:
        _ask(process)
        psutil.wait_procs([process], seconds)
        found += [*_below(process), process]
    kill(found)
    end_marked(record)


def end_marked(record: JobRecord) -> None:
    """Kill what a job has left behind."""
    if record.origin != "terminal":
        kill(started_by(record.id))


def end_children() -> None:
    """Kill everything that this process has started."""
    kill(_below(psutil.Process()))


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes, and wait until they are gone."""
    found = list(processes)
    for process in found:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(found, 2)


def out_of_memory_kills() -> int:
    """How often this machine, or container, has killed a process since memory ran out."""
    try:
        lines = dict(line.split() for line in MEMORY_EVENTS.read_text().splitlines())
        return int(lines.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def _ask(process: psutil.Process) -> None:
    try:
        process.terminate()
    except psutil.Error:
        return


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []

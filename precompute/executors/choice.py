"""Choosing an executor: its options on the command line, and what they open."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Literal

from precompute.command_line import CommandParser, positive
from precompute.errors import UsageError
from precompute.executors.cluster import DaskCluster, SlurmCluster, SlurmJobs, connected
from precompute.executors.executor import Executor
from precompute.executors.local import Processes, Threads

Name = Literal["threads", "processes", "dask", "slurm"]


@dataclass(frozen=True)
class Choice:
    """Which executor, and what it needs to know. Operational: it changes no result."""

    name: Name = "threads"
    workers: int = 1
    """Pieces at the same time, on this machine."""
    scheduler: str | None = None
    """Of `dask`: the scheduler's address."""
    slurm: SlurmJobs = field(default_factory=SlurmJobs)
    say: Callable[[str], None] = lambda _: None
    """Told what a person who waits should know."""


def _threads(chosen: Choice) -> Executor:
    return Threads(chosen.workers)


def _processes(chosen: Choice) -> Executor:
    return Processes(chosen.workers)


def _dask(chosen: Choice) -> Executor:
    _require("distributed", "dask")
    if chosen.scheduler is None:
        raise UsageError(
            "--executor dask alone", "the address of a Dask scheduler", "add --scheduler ADDRESS"
        )
    address = chosen.scheduler
    return DaskCluster(lambda: connected(address), chosen.say)


def _slurm(chosen: Choice) -> Executor:
    _require("dask_jobqueue", "slurm")
    return SlurmCluster(chosen.slurm, chosen.say)


EXECUTORS: Mapping[str, Callable[[Choice], Executor]] = MappingProxyType(
    {"threads": _threads, "processes": _processes, "dask": _dask, "slurm": _slurm}
)
"""The executors by the name that `--executor` gives them."""


def open_executor(chosen: Choice) -> Executor:
    """The executor; raises UsageError for what it lacks. Nothing is started before its first pieces."""
    return EXECUTORS[chosen.name](chosen)


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        found = f"--executor {extra} without the package {package.replace('_', '-')}"
        raise UsageError(found, "it in this environment", f"pip install 'lightwell[{extra}]'")


def add_options(parser: CommandParser) -> None:
    """Add the options that choose an executor."""
    add = parser.add_argument
    add(
        "--executor",
        choices=tuple(EXECUTORS),
        default="threads",
        help="where pieces of a step run: threads or processes here, a Dask cluster, or jobs of SLURM",
    )
    add("--scheduler", metavar="ADDRESS", help="with --executor dask: its scheduler, as tcp://HOST:PORT")
    slurm = "with --executor slurm: "
    add("--jobs", type=positive, metavar="N", help=slurm + "jobs to submit (default: 1)")
    add("--cores", type=positive, metavar="N", help=slurm + "cores of a job")
    add("--memory", metavar="SIZE", help=slurm + "memory of a job, as 16GB")
    add("--walltime", metavar="HH:MM:SS", help=slurm + "the longest that a job may run")
    add("--partition", metavar="NAME", help=slurm + "SLURM's partition")


def chosen_by(arguments: argparse.Namespace, say: Callable[[str], None]) -> Choice:
    """What the options say; raises UsageError for one that belongs to another executor."""
    of_slurm = {
        name: getattr(arguments, name) for name in ("jobs", "cores", "memory", "walltime", "partition")
    }
    _refuse("--scheduler", arguments.scheduler, arguments.executor, "dask")
    for name, value in of_slurm.items():
        _refuse(f"--{name}", value, arguments.executor, "slurm")
    given = {name: value for name, value in of_slurm.items() if value is not None}
    return Choice(arguments.executor, arguments.workers, arguments.scheduler, SlurmJobs(**given), say)


def _refuse(option: str, value: object, executor: str, needed: str) -> None:
    if value is not None and executor != needed:
        raise UsageError(
            f"{option} with --executor {executor}", f"--executor {needed}", "add it, or leave it out"
        )

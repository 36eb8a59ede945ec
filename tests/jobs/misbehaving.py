"""A job whose step does something odd: `python -m tests.jobs.misbehaving HOW RECORD`.

With `once-HOW` it does so only the first time, as the file that MARK names can tell.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from precompute.jobs.__main__ import main
from precompute.pipeline.registry import steps
from precompute.pipeline.step import StepContext

STEP = "histograms"
"""The step that misbehaves."""
REAL = steps()[STEP].run
MARK = "LIGHTWELL_TEST_MARK"
"""Names a file to which every run of the step adds a line, where a test wants to count them."""


def slowly(context: StepContext, seconds: float = 6.0) -> None:
    """The real thing, after some seconds of progress."""
    context.progress.start(1000, "rows")
    for _ in range(100):
        time.sleep(seconds / 100)
        context.progress.advance(10)
    REAL(context)


def killed(_context: StepContext) -> None:
    """By somebody, or by the system."""
    os.kill(os.getpid(), signal.SIGKILL)


def out_of_memory(_context: StepContext) -> None:
    """More than this process may have."""
    import numpy as np

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, used + 50_000_000))
    np.ones(1_000_000_000)


def exits(_context: StepContext) -> None:
    """Leaves by itself."""
    sys.exit(3)


def raises(_context: StepContext) -> None:
    """A mistake in a step."""
    raise ZeroDivisionError("a number by zero")


def disk_full(context: StepContext) -> None:
    """A disk on which nothing fits any more."""
    context.progress.start(10, "rows")
    with Path("/dev/full").open("wb") as full:
        full.write(b"x" * 100_000)


def with_children(context: StepContext) -> None:
    """Starts processes, one of which leaves the process group."""
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen(["setsid", "sleep", "1001"])
    slowly(context, 60)


def polars_and_torch(context: StepContext) -> None:
    """Both thread pools at work, as after a fork they could not be."""
    import polars as pl
    import torch

    table = pl.DataFrame({"a": range(200_000)}).with_columns(b=pl.col("a") % 7)
    assert table.group_by("b").agg(pl.col("a").sum()).height == 7
    assert float((torch.ones(400, 400) @ torch.ones(400, 400)).sum()) == 400.0**3
    REAL(context)


def deaf(context: StepContext) -> None:
    """Hears no signal: a long call in compiled code."""
    context.progress.start(10, "rows")
    heard = threading.Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    heard.wait(600)


WAYS: dict[str, Callable[[StepContext], None]] = {
    "well": REAL,
    "slowly": slowly,
    "very-slowly": lambda context: slowly(context, 60),
    "killed": killed,
    "out-of-memory": out_of_memory,
    "exits": exits,
    "raises": raises,
    "disk-full": disk_full,
    "with-children": with_children,
    "polars-and-torch": polars_and_torch,
    "deaf": deaf,
}


def runs_noted(mark: Path) -> int:
    """How often the step has run."""
    return len(mark.read_text().splitlines()) if mark.exists() else 0


def counted(run: Callable[[StepContext], None], once: bool) -> Callable[[StepContext], None]:
    """The step, noting that it ran; misbehaving only the first time if `once`."""

    def noted(context: StepContext) -> None:
        n_before = 0
        if MARK in os.environ:
            n_before = runs_noted(Path(os.environ[MARK]))
            with Path(os.environ[MARK]).open("a") as mark:
                mark.write(f"{os.getpid()}\n")
        (REAL if once and n_before else run)(context)

    return noted


def command(how: str) -> tuple[str, ...]:
    """What a launcher runs for a job that behaves so."""
    return (sys.executable, "-m", "tests.jobs.misbehaving", how)


if __name__ == "__main__":
    how = sys.argv[1]
    object.__setattr__(steps()[STEP], "run", counted(WAYS[how.removeprefix("once-")], "once-" in how))
    sys.exit(main(sys.argv[2:]))

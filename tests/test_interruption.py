"""A run may be killed at any moment: the next one completes to the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_unified import contents
from tests.tiny import TinyFiles, make_all

N_KILLS = 20


def start(files: TinyFiles, data: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "precompute.unified", "--model-type", "mine"]
    command += ["--config", str(files.config), "--data-dir", str(data), "--batch-size", "16"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(files: TinyFiles, data: Path) -> float:
    started = time.monotonic()
    process = start(files, data)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return time.monotonic() - started


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_sigkill_at_random_moments_loses_nothing(tmp_path: Path) -> None:
    """Twenty kills; what a killed run left is gone on with, and often killed again, until it is complete."""
    files = make_all(tmp_path / "mine", n_texts=1200)
    seconds = finish(files, tmp_path / "whole")
    expected = contents(tmp_path / "whole" / "precomputed_mine")
    draw, n_kills, data = random.Random(7), 0, tmp_path / "killed"
    while n_kills < N_KILLS:
        shutil.rmtree(data, ignore_errors=True)
        n_kills += n_kills_until_complete(files, data, lambda: seconds * draw.uniform(0.1, 0.95))
        found = contents(data / "precomputed_mine")
        assert found.keys() == expected.keys(), n_kills
        assert [name for name in found if found[name] != expected[name]] == [], n_kills


def n_kills_until_complete(files: TinyFiles, data: Path, drawn_seconds: Callable[[], float]) -> int:
    """Run again and again, each time killed after the seconds drawn, until one run ends before them."""
    n_kills = 0
    while True:
        process = start(files, data)
        try:
            _, errors = process.communicate(timeout=drawn_seconds())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            n_kills += 1
            continue
        assert process.returncode == 0, errors
        return n_kills


def wait_for_step(process: subprocess.Popen[str], number: int) -> str:
    """Read what a run says until it is past a step; returns it."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(f"[{number:2d}/"):
            return said
    raise AssertionError(f"the run ended before step {number}: {said}")


@pytest.mark.full
@pytest.mark.parametrize("number", [1, 9])
def test_ctrl_c_ends_soon_says_how_to_resume_and_exits_130(tmp_path: Path, number: int) -> None:
    files = make_all(tmp_path / "mine", n_texts=600)
    finish(files, tmp_path / "whole")
    process = start(files, tmp_path / "data")
    said = wait_for_step(process, number)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, said + errors
    assert "go on where it stopped" in errors
    assert "Traceback" not in errors
    finish(files, tmp_path / "data")
    whole = contents(tmp_path / "whole" / "precomputed_mine")
    assert contents(tmp_path / "data" / "precomputed_mine") == whole


@pytest.mark.full
def test_two_runs_at_once_compute_each_step_once(tmp_path: Path) -> None:
    files = make_all(tmp_path / "mine", n_texts=60)
    first, second = start(files, tmp_path / "data"), start(files, tmp_path / "data")
    errors = [process.communicate(timeout=240)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    counts = [int(text.split(" steps computed")[0].split()[-1]) for text in errors]
    assert sum(counts) == len(contents_names(tmp_path / "data" / "precomputed_mine"))


def contents_names(directory: Path) -> list[str]:
    return [path.name for path in (directory / "artifacts").iterdir()]

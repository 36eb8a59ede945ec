"""A real SLURM of one node: the whole pipeline in its jobs, a job that is lost, Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from precompute.errors import UsageError
from precompute.executors.choice import Choice, open_executor
from precompute.executors.cluster import SlurmJobs
from tests.conftest import run
from tests.slurm_cluster import Cluster, cluster_or_skip
from tests.test_unified import contents
from tests.tiny import TinyFiles

JOB = SlurmJobs(jobs=1, cores=2, memory="1GB", walltime="00:10:00", partition="main")
OPTIONS = ["--jobs", "1", "--cores", "2", "--memory", "1GB", "--walltime", "00:10:00", "--partition", "main"]

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with cluster_or_skip() as found:
        yield found


@pytest.fixture
def running(slurm: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    """In the environment, as on a machine that submits; the jobs' logs lie in the current directory."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), *sys.path]))
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm.environment[name])
    monkeypatch.chdir(tmp_path)
    return slurm


def queue(running: Cluster) -> list[str]:
    """The jobs that wait or run."""
    return running.ask("squeue", "-h", "-o", "%i", "--states=PENDING,RUNNING").split()


def until(is_so: Callable[[], bool], running: Cluster, seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, running.logs()
        time.sleep(0.2)


def copied(computed: TinyFiles, root: Path) -> TinyFiles:
    """The tiny model type with nothing computed."""
    shutil.copytree(computed.root, root, symlinks=True)
    shutil.rmtree(root / "data" / "precomputed_mine")
    return TinyFiles(root)


def test_every_step_has_the_bytes_of_threads(
    computed: TinyFiles, running: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = copied(computed, tmp_path / "copy")
    assert run(files, "--executor", "slurm", *OPTIONS) == 0, running.logs()
    assert "submitted 1 jobs to SLURM" in capsys.readouterr().err
    expected = contents(computed.root / "data" / "precomputed_mine")
    assert contents(files.root / "data" / "precomputed_mine") == expected
    until(lambda: not queue(running), running)


def slow() -> Callable[[int], int]:
    def one(n: int) -> int:
        time.sleep(0.05)
        return n

    return one


def test_a_job_that_is_lost_is_submitted_anew(running: Cluster) -> None:
    with open_executor(Choice("slurm", slurm=JOB)) as executor:
        found = executor.map(slow, range(200))
        assert [next(found) for _ in range(10)] == list(range(10))
        (lost,) = queue(running)
        running.ask("scancel", "--signal=KILL", lost)
        assert list(found) == list(range(10, 200))
        assert queue(running) != [lost]
    until(lambda: not queue(running), running)


def test_ctrl_c_cancels_the_jobs(computed: TinyFiles, running: Cluster, tmp_path: Path) -> None:
    files = copied(computed, tmp_path / "copy")
    command = [sys.executable, "-m", "precompute.unified", "--model-type", "mine", "--executor", "slurm"]
    command += ["--config", str(files.config), "--data-dir", str(files.root / "data"), *OPTIONS]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: bool(queue(running)), running)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "go on where it stopped" in errors
    assert "Traceback" not in errors
    until(lambda: not queue(running), running)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (SlurmJobs(), "--executor slurm without --cores; expected it, or a value in Dask's configuration"),
        (replace(JOB, partition="nowhere"), "invalid partition .* expected a partition with nodes"),
        (replace(JOB, cores=1000), "SLURM that does not take the job"),
    ],
)
def test_jobs_that_slurm_would_not_take_are_one_line(running: Cluster, chosen: SlurmJobs, said: str) -> None:
    with open_executor(Choice("slurm", slurm=chosen)) as executor, pytest.raises(UsageError, match=said):
        list(executor.map(slow, range(3)))
    assert queue(running) == []

"""A real SLURM: a sweep is submitted, preempted, goes on, and ends with the same bytes as without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from precompute.sweeps.submit import FOLDER
from tests.made_autoencoder import make_autoencoder
from tests.slurm_cluster import Cluster, cluster_or_skip
from tests.sweeps.made_sweep import overrides, swept

MANY = ("+eval.num_positions=4", "+eval.n_samples=24", "+eval.max_val_samples=null")
"""Long enough to be interrupted."""

pytestmark = pytest.mark.full


@pytest.fixture
def running() -> Iterator[Cluster]:
    with cluster_or_skip() as found:
        yield found


def until(is_so: Callable[[], bool], seconds: float, told: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, told()
        time.sleep(0.1)


def test_a_preempted_sweep_goes_on_and_ends(running: Cluster, tmp_path: Path) -> None:
    make_autoencoder(tmp_path, n_texts=300)
    given = overrides(tmp_path, *MANY)
    environment = {**running.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    submitted = subprocess.run(
        [sys.executable, "-m", "precompute.sweeps.submit", "num_gpus=0", "time=00:10:00", *given],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"submitted job (\d+)", submitted.stdout)
    assert found is not None, submitted.stdout
    job, data = found.group(1), tmp_path / "data"
    results = data / "eval_results"

    def told() -> str:
        logs = "".join(path.read_text() for path in (results / FOLDER).glob("*.out"))
        return (
            f"{running.state(job)}\n{running.ask('scontrol', 'show', 'job', job)}\n{logs}\n{running.logs()}"
        )

    def shards() -> list[Path]:
        return sorted((data / "vector_cache" / "scores").glob("*/*.safetensors"))

    until(lambda: bool(shards()), 100, told)
    running.ask("scontrol", "requeue", job)
    until(lambda: running.state(job) in ("PENDING", "REQUEUED"), 30, told)
    kept = {path: path.stat().st_mtime_ns for path in shards()}
    assert kept
    assert not (results / "k_sweep_results.json").exists()
    # SLURM waits two minutes before it starts a job anew; nobody else wants the node here.
    until(lambda: running.state(job) == "PENDING", 30, told)
    running.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    until(lambda: running.state(job) in ("COMPLETED", "FAILED"), 150, told)
    assert running.state(job) == "COMPLETED", told()
    assert "Restarts=1" in running.ask("scontrol", "show", "job", job)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    whole, _ = swept(tmp_path, *MANY, data="without")
    assert (results / "k_sweep_results.json").read_bytes() == whole.path.read_bytes()

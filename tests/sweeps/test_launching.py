"""Launching: arguments, the number of processes, directly where there is no SLURM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import submitit

from precompute.command_line import run_command
from precompute.errors import UsageError
from precompute.sweeps import submit
from precompute.sweeps.launching import Launch, LaunchSettings, split_arguments
from tests.made_autoencoder import make_autoencoder
from tests.sweeps.made_sweep import overrides

ROOT = Path(__file__).parents[2]


def test_arguments_are_told_apart() -> None:
    found = split_arguments(["num_gpus=4", "+eval.k_values=[1,2]", "time=2-03:30", "nice=true", "data=file"])
    assert found.overrides == ("+eval.k_values=[1,2]", "data=file")
    assert found.launch == LaunchSettings(num_gpus=4, time="2-03:30", nice=True)
    assert found.launch.minutes == 2 * 1440 + 210
    assert LaunchSettings().model_dump() == {
        "num_gpus": 1, "time": "24:00:00", "partition": None, "job_name": "k_sweep", "nice": False,
        "force_direct": False,
    }  # fmt: skip
    assert [LaunchSettings(num_gpus=n).exclusive for n in (0, 7, 8)] == [False, False, True]
    assert LaunchSettings(time="00:00:01").minutes == 1


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("num_gpus=9", "at most 8"),
        ("num_gpus=-1", "num_gpus"),
        ("num_gpu=1", "did you mean num_gpus?"),
        ("time=soon", "HH:MM:SS"),
        ("nice=perhaps", "nice"),
        ("fast", "KEY=VALUE"),
    ],
)
def test_mistakes_are_told(argument: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        split_arguments([argument])
    assert said in str(raised.value)


def test_processes_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")
    ranks = Launch(("+eval.seed=1",), 0, ".")
    assert ranks.command()[1:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    assert ranks.command()[-2:] == ["+eval.seed=1", "machine.device=cpu"]
    assert ranks.environment()["OMP_NUM_THREADS"] == "1"
    assert Launch((), 1, ".").command() == [sys.executable, "-m", "precompute.sweeps.best_of_k"]
    assert "--nproc-per-node=8" in Launch((), 8, ".").command()
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "64")
    assert ranks.n_processes == 8
    with pytest.raises(RuntimeError, match="exit code 2"):
        Launch(("+eval.sed=1",), 1, str(ROOT))()


def test_a_job_asks_slurm_for_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a submitit whose sbatch is not there: its script is read instead."""
    scripts: list[str] = []

    class Job:
        job_id = "7"
        paths = submitit.core.utils.JobPaths(tmp_path, "7")

    class Executor(submitit.SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 2

        def submit(self, function: object) -> Job:  # type: ignore[override]
            assert callable(function)
            scripts.append(self._make_submission_file_text("command", "7"))
            return Job()

    monkeypatch.setattr(submitit, "SlurmExecutor", Executor)
    monkeypatch.setattr("submitit.slurm.slurm.subprocess.check_output", lambda *_, **__: b"")
    chosen = LaunchSettings(num_gpus=8, partition="gpu", time="01:00:00", nice=True)
    job, log = submit.submit(Launch((), 8, "."), chosen, tmp_path)
    assert job == "7"
    assert log.parent == tmp_path
    lines = scripts[0].splitlines()
    for wanted in ("--gpus-per-node=8", "--exclusive", "--partition=gpu", "--time=60", "--requeue",
                   "--nice=100", "--job-name=k_sweep", "--open-mode=append"):  # fmt: skip
        assert f"#SBATCH {wanted}" in lines
    submit.submit(Launch((), 0, "."), LaunchSettings(num_gpus=0), tmp_path)
    assert not any(word in scripts[1] for word in ("gpus", "exclusive", "nice", "partition"))


def test_a_mistake_in_the_sweep_is_told_before_anything_is_queued(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(submit.main, ["num_gpus=0", "+eval.sed=1"]) == 2
    assert "did you mean eval.seed?" in capsys.readouterr().err


def test_the_script_hands_everything_on(tmp_path: Path) -> None:
    """With an environment that only says what it is asked."""
    for name in ("run_sweep.sh", "environment.sh", "constraints.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\n[ "$2" = pip ] && exit 0\necho "$PWD" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    found = subprocess.run(
        ["bash", str(tmp_path / "run_sweep.sh"), "num_gpus=0", "+eval.k_values=[1,2]"],
        cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = found.stdout.splitlines()[-1].split()
    assert told == [str(tmp_path / "elsewhere"), "-m", submit.__name__, "num_gpus=0", "+eval.k_values=[1,2]"]


@pytest.mark.full
def test_without_slurm_it_runs_at_once(tmp_path: Path) -> None:
    make_autoencoder(tmp_path, n_texts=20)
    command = [sys.executable, "-m", submit.__name__, "num_gpus=0", "force_direct=true", *overrides(tmp_path)]
    environment = {**os.environ, "SLURM_CPUS_ON_NODE": "2"}
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    record = json.loads((tmp_path / "data" / "eval_results" / "k_sweep_results.json").read_text())
    assert record["n_rows"] > 5

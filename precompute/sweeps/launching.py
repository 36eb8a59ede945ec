"""How a sweep is started: through SLURM or at once, by one process or by torchrun's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from precompute.errors import UsageError
from precompute.sweeps.settings import SweepSettings, refuse_unknown

MODULE = "precompute.sweeps.best_of_k"
GPUS_OF_A_NODE = 8
TIME = re.compile(r"(?:(\d+)-)?(\d{1,2}):(\d{2})(?::(\d{2}))?")
"""DAYS-HOURS:MINUTES, HOURS:MINUTES:SECONDS or HOURS:MINUTES."""
NICENESS = 100
"""What `nice=true` adds to the job's place in the queue, as SLURM's own --nice does."""


class LaunchSettings(BaseModel):
    """What ./run_sweep.sh takes besides the sweep's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_gpus: int = Field(1, ge=0)
    """GPUs of one node, a process each; 0 is a process for each CPU that the job is given."""
    time: str = "24:00:00"
    """The longest that the job may run before it is queued again: HH:MM:SS, or D-HH:MM."""
    partition: str | None = None
    """SLURM's partition; without one, its default."""
    job_name: str = "k_sweep"
    """The job's name in the queue."""
    nice: bool = False
    """Whether other jobs go first."""
    force_direct: bool = False
    """Whether it runs here and now although there is SLURM."""

    @property
    def minutes(self) -> int:
        """The time in minutes, rounded up."""
        found = TIME.fullmatch(self.time)
        if found is None:
            raise UsageError(f"time={self.time}", "HH:MM:SS or D-HH:MM", "correct `time`")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return max(1, days * 1440 + hours * 60 + minutes + (seconds > 0))

    @property
    def exclusive(self) -> bool:
        """Whether the job takes the node for itself: where it takes all its GPUs."""
        return self.num_gpus == GPUS_OF_A_NODE


@dataclass(frozen=True)
class Split:
    """The arguments of ./run_sweep.sh."""

    launch: LaunchSettings
    overrides: tuple[str, ...]
    """Those of the sweep."""


def split_arguments(arguments: Sequence[str]) -> Split:
    """Tell the launcher's settings from the sweep's; raises UsageError for what is neither."""
    own: dict[str, str] = {}
    overrides: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key.lstrip("+~").split(".")[0] in SweepSettings.model_fields:
            overrides.append(argument)
        elif equals:
            own[key] = value
        else:
            raise UsageError(argument, "KEY=VALUE, or +eval.KEY=VALUE", "see the README on sweeps")
    refuse_unknown(own, LaunchSettings.model_fields, "")
    try:
        launch = LaunchSettings.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]}={first['input']}", first["msg"], "correct it") from None
    if launch.num_gpus > GPUS_OF_A_NODE:
        raise UsageError(
            f"num_gpus={launch.num_gpus}", f"at most {GPUS_OF_A_NODE}, the GPUs of one node", "lower it"
        )
    _ = launch.minutes
    return Split(launch, tuple(overrides))


@dataclass(frozen=True)
class Launch:
    """A sweep that starts its processes where it is called. What was finished before is taken up."""

    overrides: tuple[str, ...]
    num_gpus: int
    directory: str
    """From which it was asked for: paths of the settings are relative to it."""

    def __call__(self) -> int:
        """Run it; raises RuntimeError where it fails, so that SLURM knows."""
        code = subprocess.run(
            self.command(), cwd=self.directory, env=self.environment(), check=False
        ).returncode
        if code:
            raise RuntimeError(f"the sweep ended with exit code {code}")
        return code

    def checkpoint(self) -> Any:
        """What is queued again when the time is up, as submitit asks: the same, since nothing is lost."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    @property
    def n_processes(self) -> int:
        """One for each GPU, or else for each CPU that there is to use, at most as many as GPUs of a node."""
        if self.num_gpus:
            return self.num_gpus
        given = os.environ.get("SLURM_CPUS_ON_NODE", "")
        return min(int(given) if given.isdecimal() else len(os.sched_getaffinity(0)), GPUS_OF_A_NODE)

    def command(self) -> list[str]:
        """The command, under torchrun where there are several processes."""
        device = [] if self.num_gpus else ["machine.device=cpu"]
        n = self.n_processes
        runner = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"] if n > 1 else []
        return [sys.executable, *runner, "-m", MODULE, *self.overrides, *device]

    def environment(self) -> dict[str, str]:
        """The environment; processes on CPUs share them, a thread each."""
        several = not self.num_gpus and self.n_processes > 1
        return {**os.environ, "OMP_NUM_THREADS": "1"} if several else dict(os.environ)


def has_slurm() -> bool:
    """Whether jobs can be submitted here."""
    return shutil.which("sbatch") is not None and shutil.which("srun") is not None

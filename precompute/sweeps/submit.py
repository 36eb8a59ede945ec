"""What ./run_sweep.sh calls: `python -m precompute.sweeps.submit num_gpus=4 time=24:00:00 … +eval.…`."""

from __future__ import annotations

import sys
from pathlib import Path

from precompute.command_line import run_command
from precompute.errors import UsageError
from precompute.sweeps.composing import compose_settings, quoted
from precompute.sweeps.launching import NICENESS, Launch, LaunchSettings, has_slurm, split_arguments
from precompute.sweeps.plan import SweepPlan

FOLDER = "slurm"
"""In the results' directory: what the job reads, and its logs."""


def main(argv: list[str]) -> int:
    """Check the sweep, then submit it, or where there is no SLURM run it; returns the exit code."""
    split = split_arguments(argv)
    plan = SweepPlan.of(compose_settings(split.overrides))
    # The job may run elsewhere, with another environment: what was found here is what it is to use.
    overrides = (*split.overrides, f"machine.data_dir={quoted(str(plan.data_dir.absolute()))}")
    launch = Launch(overrides, split.launch.num_gpus, str(Path.cwd()))
    if split.launch.force_direct or not has_slurm():
        return _direct(launch, split.launch)
    job, log = submit(launch, split.launch, plan.output_dir / FOLDER)
    print(f"submitted job {job}; its output goes to {log}")
    print(f"results: {plan.output_dir / plan.settings.eval.output_file}")
    return 0


def submit(launch: Launch, settings: LaunchSettings, folder: Path) -> tuple[str, Path]:
    """Put the sweep into SLURM's queue; gives the job's number and where its output goes."""
    import submitit
    from submitit.core.utils import FailedJobError

    folder.mkdir(parents=True, exist_ok=True)
    # As often as need be: every time the job goes on where it was.
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=1000)
    additional = {"requeue": True, **({"nice": NICENESS} if settings.nice else {})}
    given = {
        "job_name": settings.job_name,
        "time": settings.minutes,
        "nodes": 1,
        "ntasks_per_node": 1,
        "stderr_to_stdout": True,
        "additional_parameters": additional,
        **({"partition": settings.partition} if settings.partition else {}),
        **({"gpus_per_node": settings.num_gpus} if settings.num_gpus else {}),
        **({"exclusive": True} if settings.exclusive else {}),
    }
    executor.update_parameters(**given)
    try:
        job = executor.submit(launch)
    except FailedJobError as error:
        reason = " ".join(str(error).split())[:300]
        remedy = "correct partition, num_gpus or time, or add force_direct=true"
        found = f"SLURM that does not take the job ({reason})"
        raise UsageError(found, "a partition with such nodes", remedy) from None
    return job.job_id, Path(job.paths.stdout)


def _direct(launch: Launch, settings: LaunchSettings) -> int:
    """Run it here, as many processes as asked for."""
    import subprocess

    from precompute.executors.ranks import n_processes

    if settings.num_gpus:
        n_processes(str(settings.num_gpus), "auto")
    completed = subprocess.run(launch.command(), cwd=launch.directory, env=launch.environment(), check=False)
    return completed.returncode


if __name__ == "__main__":
    sys.exit(run_command(main))

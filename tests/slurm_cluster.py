"""A real SLURM of one node, on 127.0.0.1, out of a directory of its own; all it starts, it stops by pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
NODE = "here"
SBIN = "/usr/sbin"


def why_not() -> str:
    """What keeps it from being started here; empty where nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "SLURM's daemons are started by root on Linux alone"
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}") is None]
    return f"SLURM is not installed: no {', '.join(missing)}" if missing else ""


class Cluster:
    """The running daemons, and questions to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "SLURM_CONF": str(directory / "slurm.conf")}
        self.environment["PATH"] += f":{SBIN}"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start munged, slurmctld and slurmd, and wait until the node takes jobs."""
        for name in ("state", "spool", "munge"):
            (self.directory / name).mkdir(mode=0o755)
        key = self.directory / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        munge = self.directory / "munge"
        files = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid",
                 "log-file": munge / "log", "seed-file": munge / "seed"}  # fmt: skip
        self._run("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items()))
        self._wait((munge / "socket").exists, "munged")
        self._configure(munge / "socket")
        self._run("slurmctld", "-D")
        self._run("slurmd", "-D", "-N", NODE)
        self._wait(lambda: self.ask("sinfo", "-h", "-o", "%t").strip() == "idle", "the node")

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints; empty where it fails."""
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return found.stdout if found.returncode == 0 else ""

    def state(self, job: str) -> str:
        """The state of a job, such as RUNNING."""
        words = self.ask("scontrol", "show", "job", job).split()
        return next((word.removeprefix("JobState=") for word in words if word.startswith("JobState=")), "")

    def stop(self) -> None:
        """End the daemons, the last first."""
        self.ask("scancel", "--user=root")
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        """The last lines of all daemons."""
        texts = [path.read_text(errors="replace")[-2000:] for path in sorted(self.directory.glob("*.log"))]
        return "\n---\n".join(texts)

    def _run(self, *command: str) -> None:
        with (self.directory / f"{command[0]}.log").open("wb") as log:
            self._started.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def _wait(self, is_so: object, what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not is_so():  # type: ignore[operator]
            if time.monotonic() > until:
                raise TimeoutError(f"{what} did not come up:\n{self.logs()}")
            time.sleep(0.2)

    def _configure(self, munge: Path) -> None:
        ports = [_free_port() for _ in range(2)]
        settings = {
            "ClusterName": "test",
            "SlurmctldHost": f"{socket.gethostname().split('.')[0]}(127.0.0.1)",
            "SlurmctldPort": ports[0],
            "SlurmdPort": ports[1],
            "SlurmUser": "root",
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={munge}",
            "StateSaveLocation": self.directory / "state",
            "SlurmdSpoolDir": self.directory / "spool",
            "SlurmctldPidFile": self.directory / "slurmctld.pid",
            "SlurmdPidFile": self.directory / "slurmd.pid",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none",
            "AccountingStorageType": "accounting_storage/none",
            "SelectType": "select/linear",
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "bf_interval=1,sched_interval=2",
            "MpiDefault": "none",
            "ReturnToService": 2,
            "KillWait": 5,
            "JobRequeue": 1,
            "NodeName": f"{NODE} NodeHostname={socket.gethostname().split('.')[0]} NodeAddr=127.0.0.1 "
            f"CPUs={os.cpu_count()} RealMemory=4000 State=UNKNOWN",
            "PartitionName": f"main Nodes={NODE} Default=YES MaxTime=INFINITE State=UP",
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.directory / "slurm.conf").write_text(text)
        # The version that can do without has a word for it; the older one's first plugin asks for nothing.
        version = self.ask("sinfo", "--version").split()[-1]
        plugin = "cgroup/v1" if version < "23" else "disabled"
        (self.directory / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")


@contextmanager
def cluster_or_skip() -> Iterator[Cluster]:
    """A running SLURM; the test is skipped where it cannot be started, and fails for that in CI."""
    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not below pytest's own directory: the name of a socket may be 107 characters long.
    with tempfile.TemporaryDirectory(prefix="slurm-") as directory:
        made = Cluster(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.stop()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

"""The processes that embed together: one alone, or those that torchrun started, joined by gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from precompute.errors import UsageError

PATIENCE = timedelta(days=30)
"""How long a rank waits for the others: as long as they work. One that dies ends all, by torchrun."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that work together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Its number on this machine, which is its GPU's."""

    @classmethod
    def of_environment(cls) -> Ranks:
        """As torchrun says in the environment; alone without it."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(name in os.environ for name in names):
            return cls()
        return cls(*(int(os.environ[name]) for name in names))

    @property
    def leads(self) -> bool:
        """Whether this process plans, publishes and speaks."""
        return self.rank == 0

    def open(self) -> None:
        """Join the others."""
        if self.world_size > 1:
            import torch.distributed as dist

            dist.init_process_group("gloo", timeout=PATIENCE)

    def close(self) -> None:
        """Leave the others."""
        if self.world_size > 1:
            import torch.distributed as dist

            dist.destroy_process_group()

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world_size > 1:
            import torch.distributed as dist

            dist.barrier()

    def told(self, message: Any) -> Any:
        """What the leading process says, to all."""
        if self.world_size == 1:
            return message
        import torch.distributed as dist

        box = [message if self.leads else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def device(self, chosen: str) -> str:
        """The device of this process: its own GPU where there are several processes."""
        if self.world_size == 1 or chosen == "cpu":
            return chosen
        import torch

        if not torch.cuda.is_available():
            return chosen
        return f"cuda:{self.local_rank % torch.cuda.device_count()}"


def n_processes(gpus: str, device: str) -> int:
    """Processes to start for `--gpus`; raises UsageError for more GPUs than there are."""
    if gpus != "auto" and not (gpus.isdecimal() and int(gpus) >= 1):
        raise UsageError(f"--gpus {gpus}", "auto or a whole number of at least 1", "correct --gpus")
    if device == "cpu":
        return 1 if gpus == "auto" else int(gpus)
    import torch

    found = torch.cuda.device_count()
    if gpus == "auto":
        return max(1, found)
    if int(gpus) > max(1, found):
        raise UsageError(
            f"--gpus {gpus}", f"at most {found}, the GPUs of this machine", "lower it, or add --device cpu"
        )
    return int(gpus)


def start_processes(module: str, n: int, argv: Sequence[str]) -> int:
    """Run a module under torchrun with n processes on this machine; returns the exit code."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
    return subprocess.run([*command, "-m", module, *argv], check=False).returncode

"""The processes that run a model together: one alone, or those that torchrun started, joined by gloo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, TypeVar

from precompute.errors import LightwellError, UsageError
from precompute.progress import Progress, Silent

Item = TypeVar("Item")
Task = TypeVar("Task")

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

    def end(self, exit_code: int) -> int:
        """The exit code of a process alone; one of several ends with it at once.

        While Python ends, a thread of gloo may still let go of an object of Python, and the process would
        die of it (SIGABRT) with all its work done: seen once in some twenty runs.
        """
        if self.world_size > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)
        return exit_code

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world_size > 1:
            import torch.distributed as dist

            with _the_others_there():
                dist.barrier()

    def told(self, message: Any) -> Any:
        """What the leading process says, to all."""
        if self.world_size == 1:
            return message
        import torch.distributed as dist

        box = [message if self.leads else None]
        with _the_others_there():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def own(self, shards: Sequence[Item]) -> Sequence[Item]:
        """Those of the shards that fall to this process; together the processes have each shard once."""
        return shards[self.rank :: self.world_size]

    def device(self, chosen: str) -> str:
        """The device of this process: its own GPU where there are several processes."""
        if self.world_size == 1 or chosen == "cpu":
            return chosen
        import torch

        if not torch.cuda.is_available():
            return chosen
        return f"cuda:{self.local_rank % torch.cuda.device_count()}"


@contextmanager
def _the_others_there() -> Iterator[None]:
    """Raises LightwellError for a connection that another process broke by ending."""
    try:
        yield
    except RuntimeError as error:
        raise LightwellError("another process of this run ended; its own message says why") from error


class Team(Generic[Task]):
    """Processes that do tasks together: the leading one says what, and each does its own shards of it.

    Within `with`, the leading process calls `lead`, the others `follow`, which returns when the leading one
    leaves. With an error in a task torchrun ends them.
    """

    def __init__(self, ranks: Ranks, do: Callable[[Task, Progress], None]) -> None:
        self.ranks, self._do_own = ranks, do
        self._in_task = False

    def __enter__(self) -> Team[Task]:
        self.ranks.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # Where the leading process refuses its command between tasks, the others have nothing to say of it.
        if error is None or (isinstance(error, LightwellError | SystemExit) and not self._in_task):
            if self.ranks.leads:
                self.ranks.told(None)
            # One that leaves early takes its connections away from those that still listen.
            self.ranks.wait()
        self.ranks.close()

    def lead(self, task: Task, progress: Progress) -> None:
        """Do a task together; it travels to the others, so it is made of paths and numbers."""
        self.ranks.told(task)
        self._do(task, progress)

    def follow(self) -> None:
        """Do what the leading process says until it has nothing more to say."""
        while (task := self.ranks.told(None)) is not None:
            self._do(task, Silent())

    def _do(self, task: Task, progress: Progress) -> None:
        self._in_task = True
        self._do_own(task, progress)
        self.ranks.wait()
        self._in_task = False


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
    with subprocess.Popen([*command, "-m", module, *argv]) as process:
        # Who ends this process means all of them; torchrun ends its own.
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)

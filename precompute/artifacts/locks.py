"""One kernel lock an artifact: a killed owner blocks nobody."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout


class ArtifactLock:
    """The right to compute and publish one artifact of a subject."""

    def __init__(self, directory: Path, step: str) -> None:
        self.path = directory / ".locks" / f"{step}.lock"
        self._lock = FileLock(self.path)

    def acquire(self, seconds: float = -1) -> bool:
        """Take the lock, waiting at most that long (for ever if negative); says whether it was had."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=seconds)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def is_held(self) -> bool:
        """Whether another process holds it now."""
        if not self.path.is_file() or self._lock.is_locked:
            return False
        if not self.acquire(0):
            return True
        self.release()
        return False

    def __enter__(self) -> ArtifactLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

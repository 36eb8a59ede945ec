"""Files whose bytes are on the disk before anything names them: a power cut leaves nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file's bytes, or a directory's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(directory: Path) -> None:
    """Bring every file and directory below to the disk, so that no rename can outrun its content."""
    for path in sorted(directory.rglob("*"), reverse=True):
        sync(path)
    sync(directory)


def settle(staging: Path, path: Path) -> None:
    """Move a file to its place, over what is there, once its bytes are on the disk."""
    sync(staging)
    staging.replace(path)

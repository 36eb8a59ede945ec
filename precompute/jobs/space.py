"""Freeing disk space: taking artifacts off the shelf, knowing what else reads them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from precompute.artifacts.locks import ArtifactLock
from precompute.jobs.board import JobBoard
from precompute.jobs.record import JobError
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import Subject

LEFTOVERS = "leftovers"
"""What interrupted runs have left: from it they would go on, without it they begin the step anew."""
STAGING = ".tmp-*"


@dataclass(frozen=True)
class Dependants:
    """Steps that read a step's artifact."""

    direct: tuple[str, ...]
    others: tuple[str, ...]
    """That read one of these."""


def dependants_of(step: str) -> Dependants:
    """Which steps would compute an artifact anew before they are computed again."""
    direct = tuple(name for name, found in steps().items() if step in found.inputs)
    reached = set(direct)
    for name, found in steps().items():
        if reached & set(found.inputs):
            reached.add(name)
    return Dependants(direct, tuple(name for name in steps() if name in reached and name not in direct))


def leftover_bytes(subject: Subject) -> int:
    """Bytes that interrupted runs have left."""
    return sum(_size(path) for path in subject.directory.glob(STAGING))


def free(board: JobBoard, subject: Subject, name: str) -> int:
    """Remove a step's artifact, or the leftovers; gives the bytes freed.

    Raises JobError while a job is at work on the subject, or for what is not there.
    """
    if name not in (*steps(), LEFTOVERS):
        raise JobError(f"nothing to free by the name {name[:40]!r}; reload the page")
    with board.lock():
        if any(record.subject_directory == _absolute(subject) for record in board.active()):
            raise JobError(
                f"a job is at work on {subject.model_type.name}; wait until it has ended, or cancel it"
            )
        return _free_leftovers(subject) if name == LEFTOVERS else _free_artifact(subject, name)


def _free_artifact(subject: Subject, step: str) -> int:
    lock = ArtifactLock(subject.directory, step)
    if not lock.acquire(0):
        raise JobError(f"{step} is being computed; wait until it is done")
    try:
        n_bytes = sum(_size(path) for path in (subject.directory / "versions").glob(f"{step}-*"))
        if not n_bytes:
            raise JobError(f"{step} is not on disk; reload the page")
        subject.shelf.remove(step, steps()[step].outputs)
    finally:
        lock.release()
    return n_bytes


def _free_leftovers(subject: Subject) -> int:
    n_bytes = leftover_bytes(subject)
    for path in subject.directory.glob(STAGING):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return n_bytes


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(found.lstat().st_size for found in path.rglob("*") if found.is_file())


def _absolute(subject: Subject) -> Path:
    return subject.directory.absolute()

"""Room on the disk for what is about to be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from precompute.errors import DiskSpaceError


def check_space(place: Path, n_bytes: float, purpose: str, remedy: str, replaced: int = 0) -> None:
    """Raise DiskSpaceError unless that many bytes fit; `replaced` of them take the place of what is there.

    The directory need not exist yet: then the nearest above it is asked.
    """
    place = existing(place)
    free = shutil.disk_usage(place).free + replaced
    if free < n_bytes:
        raise DiskSpaceError(
            f"{free / 1e6:,.0f} MB free at {place}", f"about {n_bytes / 1e6:,.0f} MB for {purpose}", remedy
        )


def existing(directory: Path) -> Path:
    """The directory, or the nearest above it that is there."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    return place

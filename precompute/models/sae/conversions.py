"""SAEs that are converted once, into a cache that every later command reads as any other directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from precompute.artifacts.digests import text_digest
from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import canonical_json

CACHE_VARIABLE = "LIGHTWELL_CACHE"
"""Environment variable that names another directory for what can be made again."""
VERSION = 2
"""Of what is converted: a later one converts anew."""


def cache_directory() -> Path:
    """Where conversions lie: LIGHTWELL_CACHE, or `lightwell` in the user's own cache."""
    given = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given or Path(base) / "lightwell").expanduser()


def conversion_of_files(files: Iterable[Path]) -> Path:
    """Where the conversion of these files lies, or would lie; a file that changes gets another place."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(files)]
    return cache_directory() / "saes" / text_digest(canonical_json([VERSION, stats]))


def convert_once(target: Path, write: Callable[[Path], None]) -> Path:
    """The directory `target`, written by `write` unless it is there; whole or not at all."""
    with ArtifactLock(target.parent, target.name):
        if target.is_dir():
            return target
        staging = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
        try:
            write(staging)
            staging.rename(target)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return target

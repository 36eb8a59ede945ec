"""Copying what steps have published, byte for byte, to object storage and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from precompute.durable import settle
from precompute.errors import StoreError
from precompute.executors.local import Threads
from precompute.progress import Progress
from precompute.stores.layout import STORE_FILE, new_remote_store, new_store
from precompute.stores.places import Place, Remote, size_of

OF_A_SHELF = ("artifacts", "versions")
"""Directories in that of a model type whose content is there under its own names as well."""


def copy(source: Place, target: Place, workers: int, progress: Progress) -> int:
    """Copy a file, or a directory with all that has a name to a reader; returns its bytes.

    Raises StoreError where there is nothing, or where the target exists. An error leaves nothing behind.
    """
    if size_of(source) is not None:
        return _copy_file(source, target, progress)
    found = source.files() if isinstance(source, Remote) else _local_files(source, source)
    files: dict[str, Place] = dict(found)
    if not files:
        raise StoreError(f"nothing at {source}", "a table, a store, or a directory of these", "correct it")
    progress.start(len(files), "files")
    n_bytes = 0
    with new_remote_store(target) if isinstance(target, Remote) else new_store(target) as staging:
        # What says that a store is complete comes when it is.
        for comes_last in (False, True):
            chosen = [name for name in files if (Path(name).name == STORE_FILE) == comes_last]
            for size in Threads(workers).map(lambda: _copying(files, staging), chosen):
                n_bytes += size
                progress.advance()
    return n_bytes


def _local_files(root: Path, directory: Path) -> Iterator[tuple[str, Path]]:
    """The files below, by their names relative to the root. What is hidden is left out."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith(".") or (directory == root and path.name in OF_A_SHELF):
            continue
        # A step that is published meanwhile changes where a link leads; what it led to stays one version.
        found = path.resolve()
        if found.is_dir():
            yield from ((f"{path.name}/{name}", file) for name, file in _local_files(found.parent, found))
        else:
            yield path.name, found


def _copying(files: Mapping[str, Place], target: Place) -> Callable[[str], int]:
    def one(name: str) -> int:
        content, file = files[name].read_bytes(), target / name
        if isinstance(file, Path):
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return len(content)

    return one


def _copy_file(source: Place, target: Place, progress: Progress) -> int:
    if target.exists():
        raise StoreError(f"{target} exists", "a name that is free", "choose another")
    progress.start(1, "files")
    content = source.read_bytes()
    if isinstance(target, Remote):
        target.write_bytes(content)
    else:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        staging = target.with_name(f".{target.name}-{uuid4().hex[:12]}")
        try:
            staging.write_bytes(content)
            settle(staging, target)
        finally:
            staging.unlink(missing_ok=True)
    progress.advance()
    return len(content)

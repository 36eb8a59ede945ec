"""What a store says of itself: the small JSON file at its root, and the names inside it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.durable import sync_tree
from precompute.errors import StoreError, UsageError
from precompute.stores.places import Place, Remote

STORE_FILE = "store.json"
METADATA_FILE = "examples.parquet"
"""Beside an imported store's own files: what its source says of each example."""
FORMAT_VERSION = 1
EXAMPLES_PER_SHARD = 256
"""Examples in one logical shard of a row-major store, whatever the batch size or worker count."""
FEATURES_PER_BLOCK = 1024
"""Features in one block of a feature-major store, whatever the worker count."""


class ShardCounts(BaseModel):
    """How much one shard of a row-major store holds."""

    model_config = ConfigDict(frozen=True)
    n_examples: int
    n_tokens: int
    n_rows: int
    n_nonzero: int


class StoreInfo(BaseModel):
    """The header of a store."""

    model_config = ConfigDict(frozen=True)
    format: Literal["lightwell-store"] = "lightwell-store"
    format_version: Literal[1] = 1
    layout: Literal["rows", "features"]
    backend: str
    d_sae: int
    """Number of features."""
    d_in: int
    """Width of the activations that the SAE reads."""
    n_examples: int
    n_rows: int
    n_nonzero: int
    acts_dtype: Literal["float32", "float16"] = "float32"
    shards: tuple[ShardCounts, ...] = ()
    """Of a row-major store."""
    blocks: tuple[int, ...] = ()
    """Of a feature-major store: non-zeros of each block of FEATURES_PER_BLOCK features."""


def part_directory(root: Place, number: int) -> Place:
    """Where shard or block `number` of a store lies."""
    return root / "parts" / f"{number:05d}"


@contextmanager
def new_part(root: Place, number: int) -> Iterator[Place]:
    """A directory to write a part in; it gets its name when complete, and on disk, and not before.

    What a killed writer leaves begins with a dot, and is thrown away with `drop_unfinished`. Where two
    write the same part (a worker that was given up, and the one in its place), the first one's is kept.
    """
    target = part_directory(root, number)
    if isinstance(target, Remote):
        # Nothing can be renamed there: until the header is written, last of all, there is no store.
        yield target
        return
    staging = target.with_name(f".{target.name}-{uuid4().hex[:12]}")
    staging.mkdir(parents=True)
    yield staging
    sync_tree(staging)
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(staging)


def drop_unfinished(root: Place) -> None:
    """Throw away parts that were not finished; only when nobody writes any more."""
    if isinstance(root, Remote):
        return
    for staging in (root / "parts").glob(".*"):
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def new_store(target: Path) -> Iterator[Path]:
    """A directory beside `target` to write a store in; it takes the target's place when complete.

    Raises StoreError where the target exists. An error or interruption leaves nothing behind.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} exists", "a path that is free", "remove it, or choose another")
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".tmp-{target.name}-", dir=target.absolute().parent))
    try:
        yield staging
        sync_tree(staging)
        staging.chmod(0o777 & ~_umask())
        staging.replace(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


@contextmanager
def new_remote_store(target: Remote) -> Iterator[Remote]:
    """The same in object storage: the target itself, which is no store until its header is written, last."""
    if target.exists():
        raise StoreError(f"{target} exists", "a URL below which there is nothing", "choose another")
    try:
        yield target
    except BaseException:
        with suppress(Exception):  # What was wrong before is what is raised.
            target.remove_tree()
        raise


def _umask() -> int:
    """The permissions that new directories do not get; mkdtemp is stricter than the user asked for."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_info(root: Place, info: StoreInfo) -> None:
    """Write the header; last of all, since its presence says that the store is complete."""
    (root / STORE_FILE).write_text(info.model_dump_json(indent=1) + "\n")


def read_info(root: Place) -> StoreInfo:
    """Read the header; raises StoreError where there is none or it cannot be understood."""
    path = root / STORE_FILE
    try:
        raw: Any = json.loads(path.read_text())
        return StoreInfo.model_validate(raw)
    except FileNotFoundError:
        raise StoreError(
            f"no {STORE_FILE} in {root}", "the directory of an activation store", "give the store's own path"
        ) from None
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{path} that cannot be read ({reason})", "a store header", "compute the store again"
        ) from None


def open_layout(root: Place, layout: str) -> StoreInfo:
    """Read the header of a store that must have the given layout."""
    info = read_info(root)
    if info.layout != layout:
        raise StoreError(
            f"a store in {info.layout} order at {root}",
            f"one in {layout} order",
            "transpose it" if layout == "features" else "give the store that it was transposed from",
        )
    return info


def feature_dtype(d_sae: int) -> str:
    """The smallest unsigned type that numbers d_sae features."""
    return "uint16" if d_sae <= 2**16 else "uint32"


def stored_acts(acts: NDArray[np.float32], acts_dtype: str) -> NDArray[Any]:
    """Activations in the type in which they are kept; raises UsageError where it cannot hold one."""
    with np.errstate(over="ignore"):
        stored = acts.astype(acts_dtype)
    if not np.isfinite(stored).all():
        raise UsageError(
            f"an activation of {acts.max():.4g}",
            f"one that {acts_dtype} can hold",
            'set acts_dtype = "float32"',
        )
    return stored

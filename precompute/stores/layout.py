"""What a store says of itself: the small JSON file at its root, and the names inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.errors import StoreError

STORE_FILE = "store.json"
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


def part_directory(root: Path, number: int) -> Path:
    """Where shard or block `number` of a store lies."""
    return root / "parts" / f"{number:05d}"


def write_info(root: Path, info: StoreInfo) -> None:
    """Write the header; last of all, since its presence says that the store is complete."""
    (root / STORE_FILE).write_text(info.model_dump_json(indent=1) + "\n")


def read_info(root: Path) -> StoreInfo:
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


def open_layout(root: Path, layout: str) -> StoreInfo:
    """Read the header of a store that must have the given layout."""
    info = read_info(root)
    if info.layout != layout:
        raise StoreError(
            f"a store in {info.layout} order at {root}", f"one in {layout} order", "transpose it"
        )
    return info


def feature_dtype(d_sae: int) -> str:
    """The smallest unsigned type that numbers d_sae features."""
    return "uint16" if d_sae <= 2**16 else "uint32"

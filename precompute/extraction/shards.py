"""Finished parts of an experiment: fixed shards of its examples, each written whole or not at all.

Their borders depend on the number of examples alone, so neither ranks nor interruptions change a byte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from precompute.extraction.settings import FinishReason

if TYPE_CHECKING:
    from precompute.extraction.generation import Response

SHARD_EXAMPLES = 128
"""About as many; what a killed process loses at most."""
REASONS: tuple[FinishReason, ...] = ("stop", "length")
SEPARATOR = "|"
"""Between a site and a position rule in a tensor's name."""


def shard_borders(n: int) -> list[tuple[int, int]]:
    """First and stop of each shard of n examples, of like size."""
    n_shards = max(1, round(n / SHARD_EXAMPLES))
    borders = np.linspace(0, n, n_shards + 1).round().astype(int).tolist()
    return list(pairwise(borders))


def shard_path(directory: Path, number: int) -> Path:
    """The file of a shard."""
    return directory / f"{number:06d}.safetensors"


def write_arrays(arrays: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    """Write a safetensors file in one rename."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, staging)
    staging.replace(path)


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of such a file."""
    from safetensors.numpy import load_file

    found: dict[str, NDArray[np.generic]] = load_file(path)
    return found


@dataclass(frozen=True)
class Written:
    """The responses of one shard, as token ids."""

    prompts: list[list[int]]
    responses: list[list[int]]
    reasons: list[FinishReason]
    near_ties: list[int | None]


def write_responses(responses: Sequence[Response], path: Path) -> None:
    """Keep the responses of a shard, in the order of their examples."""
    arrays = {
        **_ragged("prompts", [response.prompt for response in responses]),
        **_ragged("responses", [response.token_ids for response in responses]),
        "reasons": np.array(
            [REASONS.index(response.finish_reason) for response in responses], dtype=np.uint8
        ),
        "near_ties": np.array([-1 if r.near_tie is None else r.near_tie for r in responses], dtype=np.int32),
    }
    write_arrays(arrays, path)


def read_responses(path: Path) -> Written:
    """The responses of a shard."""
    arrays = read_arrays(path)
    return Written(
        _lists("prompts", arrays),
        _lists("responses", arrays),
        [REASONS[number] for number in arrays["reasons"].tolist()],
        [None if number < 0 else number for number in arrays["near_ties"].tolist()],
    )


def _ragged(name: str, lists: Sequence[Sequence[int]]) -> dict[str, NDArray[np.generic]]:
    indptr = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])]).astype(np.int64)
    flat = np.fromiter((token for ids in lists for token in ids), dtype=np.int32, count=int(indptr[-1]))
    return {name: flat, f"{name}_indptr": indptr}


def _lists(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> list[list[int]]:
    flat, indptr = arrays[name].tolist(), arrays[f"{name}_indptr"].tolist()
    return [flat[a:b] for a, b in pairwise(indptr)]

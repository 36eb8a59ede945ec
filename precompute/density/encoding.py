"""The vectors of prompts: each distinct text encoded once, in shards that a killed run leaves whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from precompute.artifacts.free_space import check_space
from precompute.density.groups import Groups
from precompute.density.prompts import read_prompts, write_prompts_list
from precompute.npy import open_npy
from precompute.progress import Progress

VECTORS_FILE, PROMPTS_FILE = "embeddings.npy", "prompts_list.json"
GROUPS_FILE, ENCODER_FILE = "groups.npy", "encoder.json"
SHARDS_DIRECTORY = "shards"
TEXTS_PER_SHARD = 2048
"""Distinct texts of a shard, whatever the batch size: the most that is encoded again after a kill."""
FLOATS_PER_SHARD = 2**26
"""Numbers of a shard at most (256 MB), for vectors as wide as a vocabulary."""


class Encoder(Protocol):
    """A loaded model that gives texts vectors."""

    @property
    def d(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def d_vocab(self) -> int:
        """Entries of the model's vocabulary."""
        ...

    @property
    def d_model(self) -> int:
        """Width of its hidden states."""
        ...

    def encode(
        self,
        texts: Sequence[str],
        token_budget: int | None = None,
        batch_size: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Float32[np.ndarray, "n d"]:
        """The vectors of texts, in their order, each of length 1."""
        ...


@dataclass(frozen=True)
class EncoderRecord:
    """What is kept of the model that gave the vectors."""

    model: str
    """Its name: of the source, the hub id, or the directory without its path."""
    model_fingerprint: str
    """SHA-256 of what determines a text's vector."""
    model_vocab_size: int
    model_n_embd: int
    """Width of its hidden states."""
    normalization: str = "l2"
    """Vectors have length 1."""

    @classmethod
    def read(cls, directory: Path) -> EncoderRecord:
        """The record beside vectors."""
        return cls(**json.loads((directory / ENCODER_FILE).read_text(encoding="utf-8")))

    def write(self, directory: Path) -> None:
        """Put the record beside vectors."""
        (directory / ENCODER_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def take_prompts(prompts: Iterable[str], out: Path) -> Groups:
    """Write prompts_list.json and groups.npy, unless a killed run did; the groups of equal texts."""
    path = out / GROUPS_FILE
    if not path.is_file():
        groups = write_prompts_list(prompts, out / PROMPTS_FILE)
        staging = path.with_name(f".tmp-{GROUPS_FILE}")
        np.save(staging, groups.numbers)
        staging.replace(path)
    return read_groups(out)


def read_groups(directory: Path) -> Groups:
    """Which prompts are the same text, from beside their vectors."""
    return Groups.numbered(open_npy(directory / GROUPS_FILE, mapped=False))


def encode_prompts(
    groups: Groups, encoder: Encoder, batch_size: int | None, out: Path, progress: Progress
) -> None:
    """Write embeddings.npy float32 [n_prompts, d] beside the prompts, taking up what a killed run left."""
    check_vectors_fit(out, len(groups.numbers) + groups.n, encoder.d)
    shards = out / SHARDS_DIRECTORY
    shards.mkdir(exist_ok=True)
    progress.start(groups.n, "texts")
    size = shard_size(encoder.d)
    for number, texts in enumerate(_cut(_distinct(groups, out / PROMPTS_FILE), size)):
        path = shards / f"{number:08d}.npy"
        if path.is_file():
            progress.advance(len(texts))
            continue
        vectors = encoder.encode(texts, batch_size=batch_size, advance=progress.advance)
        staging = shards / ".tmp-shard.npy"
        np.save(staging, vectors)
        staging.replace(path)
    spread(
        groups,
        (open_npy(path, mapped=False) for path in sorted(shards.glob("[0-9]*.npy"))),
        encoder.d,
        out,
    )
    shutil.rmtree(shards)


def shard_size(d: int) -> int:
    """Distinct texts of one shard."""
    return max(1, min(TEXTS_PER_SHARD, FLOATS_PER_SHARD // d))


def spread(groups: Groups, parts: Iterable[Float32[np.ndarray, "m d"]], d: int, out: Path) -> None:
    """Write embeddings.npy: to each row the vector of its distinct text; `parts` joined have one for each."""
    shape = (len(groups.numbers), d)
    rows = np.lib.format.open_memmap(out / VECTORS_FILE, mode="w+", dtype=np.float32, shape=shape)
    size, first = max(1, FLOATS_PER_SHARD // d), 0
    for part in parts:
        members = groups.members(first, first + len(part))
        for start in range(0, len(members), size):
            chosen = members[start : start + size]
            rows[chosen] = part[groups.numbers[chosen] - first]
        first += len(part)
    rows.flush()


def check_vectors_fit(place: Path, n: int, d: int) -> None:
    """Raise DiskSpaceError unless n vectors of width d fit."""
    check_space(place.parent, 4 * d * n, "the embeddings", "free some space, or choose another --output-dir")


def _distinct(groups: Groups, path: Path) -> Iterator[str]:
    """The first prompt of each group, in order."""
    firsts = iter(groups.firsts.tolist())
    wanted = next(firsts)
    for row, prompt in enumerate(read_prompts(path)):
        if row == wanted:
            yield prompt
            wanted = next(firsts, -1)


def _cut(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block

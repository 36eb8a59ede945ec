"""Parts that were computed apart, joined: their vectors are kept, neighbours are sought among all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from precompute.artifacts.manifest import Manifest
from precompute.artifacts.shelf import Shelf
from precompute.density.encoding import (
    PROMPTS_FILE,
    VECTORS_FILE,
    EncoderRecord,
    check_vectors_fit,
    spread,
    take_prompts,
)
from precompute.density.groups import Groups
from precompute.density.prompts import read_prompts
from precompute.density.stages import EMBEDDINGS, GRAPH, WEIGHTS
from precompute.density.weights import WeightSettings
from precompute.errors import UsageError
from precompute.npy import open_npy
from precompute.pipeline.stages import Wanted
from precompute.progress import Progress

TEXTS_AT_ONCE = 2**14


def joined_embeddings(parts: Sequence[Path]) -> Wanted:
    """The vectors of all parts, in their order; a text that several have keeps its first vector.

    Raises UsageError for a part without vectors, or of another model than the first.
    """
    manifests = [_manifest(part, EMBEDDINGS.name) for part in parts]
    directories = [Shelf(part).current(EMBEDDINGS.name) for part in parts]
    _check_models(parts, directories)

    def run(out: Path, progress: Progress) -> None:
        prompts = chain.from_iterable(read_prompts(each / PROMPTS_FILE) for each in directories)
        groups = take_prompts(prompts, out)
        EncoderRecord.read(directories[0]).write(out)
        progress.start(groups.n, "texts")
        vectors = [open_npy(each / VECTORS_FILE) for each in directories]
        d = int(vectors[0].shape[1])
        check_vectors_fit(out, len(groups.numbers), d)
        spread(groups, _told(_distinct(groups, vectors), progress), d, out)

    return Wanted(EMBEDDINGS, run, sources={"parts": [[each.fingerprint, each.digest] for each in manifests]})


def _distinct(
    groups: Groups, parts: Sequence[Float32[np.ndarray, "m d"]]
) -> Iterator[Float32[np.ndarray, "n_texts d"]]:
    """The vectors of distinct texts in order, block by block."""
    begins = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    for part, begin, end in zip(parts, begins[:-1], begins[1:], strict=True):
        inside = groups.firsts[(groups.firsts >= begin) & (groups.firsts < end)] - begin
        for rows in _cut(inside):
            yield part[rows]


def _cut(rows: Int64[np.ndarray, " n"]) -> Iterator[Int64[np.ndarray, " m"]]:
    for first in range(0, len(rows), TEXTS_AT_ONCE):
        yield rows[first : first + TEXTS_AT_ONCE]


def _told(
    blocks: Iterator[Float32[np.ndarray, "m d"]], progress: Progress
) -> Iterator[Float32[np.ndarray, "m d"]]:
    for block in blocks:
        yield block
        progress.advance(len(block))


def common_k(parts: Sequence[Path], given: int | None) -> int:
    """The k that was asked for, or else that of all parts; raises UsageError where they differ."""
    found = {int(_manifest(part, GRAPH.name).settings["k"]) for part in parts} if given is None else {given}
    if len(found) > 1:
        raise UsageError(f"parts with k = {_listed(found)}", "one k", "choose with --k")
    return found.pop()


def common_weight_settings(parts: Sequence[Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """How all parts were weighed, but for what is given; raises UsageError where they differ in the rest."""
    chosen = dict(given)
    for name in WeightSettings.model_fields.keys() - given.keys():
        found = {_manifest(part, WEIGHTS.name).settings[name] for part in parts}
        if len(found) > 1:
            raise UsageError(f"parts with {name} = {_listed(found)}", f"one {name}", f"choose with --{name}")
        chosen[name] = found.pop()
    return chosen


def _manifest(part: Path, stage: str) -> Manifest:
    manifest = Shelf(part).manifest(stage) if part.is_dir() else None
    if manifest is None:
        raise UsageError(
            f"part {part} without {stage}",
            "an output directory of `python -m precompute.density`",
            "run it for this part, or correct --parts",
        )
    return manifest


def _check_models(parts: Sequence[Path], directories: Sequence[Path]) -> None:
    records = [EncoderRecord.read(each) for each in directories]
    for part, record in zip(parts, records, strict=True):
        if record.model_fingerprint != records[0].model_fingerprint:
            raise UsageError(
                f"part {part} of another model ({record.model}) than {parts[0]} ({records[0].model})",
                "parts of one model, with the same pooling and length",
                "compute the parts with the same --model-source",
            )


def _listed(values: set[Any]) -> str:
    return ", ".join(str(value) for value in sorted(values))

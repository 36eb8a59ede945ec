"""The matrix of direct logit effects, directions @ unembed, a tile of features at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.errors import NotApplicableError
from precompute.pipeline.step import StepContext

TILE = 256
"""Features in one matrix product. Fixed, since a product's last bits depend on its shape."""


@dataclass(frozen=True)
class EffectTile:
    """The effects of consecutive features on every token."""

    first: int
    """The first feature."""
    influence: NDArray[np.float32]
    """[n_features, d_vocab], logits per unit of activation."""


def effect_tiles(
    directions: NDArray[np.float32], unembed: NDArray[np.float32], features: range, chunk_size: int = TILE
) -> Iterator[EffectTile]:
    """The effects of `features`, some of them at a time: `chunk_size`, rounded up to whole products.

    directions: [d_sae, d_model]; unembed: [d_model, d_vocab], with the final norm folded in.
    """
    unembed = np.ascontiguousarray(unembed)
    size = -(-chunk_size // TILE) * TILE
    for first in range(features.start, features.stop, size):
        held = range(first, min(first + size, features.stop))
        influence = np.empty((len(held), unembed.shape[1]), dtype=np.float32)
        for start in range(0, len(held), TILE):
            rows = np.ascontiguousarray(directions[first + start : min(first + start + TILE, held.stop)])
            np.matmul(rows, unembed, out=influence[start : start + TILE])
        yield EffectTile(first, influence)


def context_tiles(context: StepContext, features: range | None = None) -> Iterator[EffectTile]:
    """The effects of a step's features (or of those given); progress counts features.

    Raises NotApplicableError where the model has no output layer.
    """
    if not context.record("directions")["tokens"]:
        raise NotApplicableError("the model has no output layer, so features have no effect on tokens")
    directions = context.array("directions")
    listed = context.features(len(directions)) if features is None else features
    context.progress.start(len(listed), "features")
    for tile in effect_tiles(directions, context.array("unembed"), listed, context.operations.chunk_size):
        yield tile
        context.progress.advance(len(tile.influence))

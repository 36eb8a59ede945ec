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
    directions: NDArray[np.float32], unembed: NDArray[np.float32], features: range
) -> Iterator[EffectTile]:
    """The effects of `features`, tile by tile.

    directions: [d_sae, d_model]; unembed: [d_model, d_vocab], with the final norm folded in.
    """
    unembed = np.ascontiguousarray(unembed)
    for first in range(features.start, features.stop, TILE):
        rows = np.ascontiguousarray(directions[first : min(first + TILE, features.stop)])
        yield EffectTile(first, rows @ unembed)


def context_tiles(context: StepContext, features: range | None = None) -> Iterator[EffectTile]:
    """The effects of a step's features (or of those given); progress counts features.

    Raises NotApplicableError where the model has no output layer.
    """
    if not context.record("directions")["tokens"]:
        raise NotApplicableError("the model has no output layer, so features have no effect on tokens")
    directions = context.array("directions")
    listed = context.features(len(directions)) if features is None else features
    context.progress.start(len(listed), "features")
    for tile in effect_tiles(directions, context.array("unembed"), listed):
        yield tile
        context.progress.advance(len(tile.influence))

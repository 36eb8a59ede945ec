"""The matrix of direct logit effects, directions @ unembed, a tile of features at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from precompute.errors import NotApplicableError
from precompute.pipeline.step import StepContext

Result = TypeVar("Result")

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
    return (_effects(directions, unembed, held) for held in _held_at_once(features, chunk_size))


def _held_at_once(features: range, chunk_size: int) -> list[range]:
    size = -(-chunk_size // TILE) * TILE
    return [features[start : start + size] for start in range(0, len(features), size)]


def _effects(directions: NDArray[np.float32], unembed: NDArray[np.float32], held: range) -> EffectTile:
    influence = np.empty((len(held), unembed.shape[1]), dtype=np.float32)
    for start in range(0, len(held), TILE):
        product = held[start : start + TILE]
        rows = np.ascontiguousarray(directions[product.start : product.stop])
        np.matmul(rows, unembed, out=influence[start : start + TILE])
    return EffectTile(held.start, influence)


def context_tiles(context: StepContext, features: range | None = None) -> Iterator[EffectTile]:
    """The effects of a step's features (or of those given); progress counts features.

    Raises NotApplicableError where the model has no output layer.
    """
    _check_output_layer(context)
    directions = context.array("directions")
    listed = context.features(len(directions)) if features is None else features
    context.progress.start(len(listed), "features")
    for tile in effect_tiles(directions, context.array("unembed"), listed, context.operations.chunk_size):
        yield tile
        context.progress.advance(len(tile.influence))


def map_tiles(
    context: StepContext, opening: Callable[[StepContext], Callable[[EffectTile], Result]]
) -> Iterator[Result]:
    """Apply what `opening` makes of the context to the effects of a step's features, wherever pieces run.

    Results come in order; progress counts features. `opening` is as for StepContext.map. Raises
    NotApplicableError where the model has no output layer.
    """
    _check_output_layer(context)
    listed = context.features(len(context.array("directions")))
    pieces = _held_at_once(listed, context.operations.chunk_size)
    context.progress.start(len(listed), "features")
    for held, result in zip(pieces, context.map(partial(_multiplying, opening), pieces), strict=True):
        yield result
        context.progress.advance(len(held))


def _multiplying(
    opening: Callable[[StepContext], Callable[[EffectTile], Result]], context: StepContext
) -> Callable[[range], Result]:
    directions, function = context.array("directions"), opening(context)
    unembed = np.ascontiguousarray(context.array("unembed"))
    return lambda held: function(_effects(directions, unembed, held))


def _check_output_layer(context: StepContext) -> None:
    record = context.record("directions")
    if not record["tokens"]:
        raise NotApplicableError(f"features have no direct effect on tokens: {record['reason']}")

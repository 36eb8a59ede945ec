"""Threads of a CPU for models so small that sharing a matrix product costs more than it saves."""

from __future__ import annotations

from typing import Any

import torch

SMALL = 50_000_000
"""Weights of a model below which one thread is quicker than several, most of all one token at a time."""


def is_small(model: Any) -> bool:
    """Whether a model has so few weights."""
    return bool(sum(weight.numel() for weight in model.parameters()) < SMALL)


def suit_threads(model: Any) -> None:
    """Let torch use one thread in this process where the model is small."""
    if is_small(model):
        torch.set_num_threads(1)

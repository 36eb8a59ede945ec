"""Gumbel noise of a counter-based generator: a function of seed, example, step and token, of nothing else.

The key is the seed, the counter is (token, step, example): neither the batch, nor the order of the work, nor
the device changes a draw.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from precompute.models.philox import WORD, philox


def gumbel(
    seed: int,
    examples: Int64[Tensor, " n"],
    steps: Int64[Tensor, " n"],
    token_ids: Int64[Tensor, "n k"],
) -> Float64[Tensor, "n k"]:
    """Standard Gumbel noise of some tokens, at one step of each example."""
    example, step = examples[:, None], steps[:, None]
    counter = (token_ids, step, example & WORD, (example >> 32) & WORD)
    high, low, _, _ = philox(counter, (seed & WORD, (seed >> 32) & WORD))
    # 52 bits, and never 0 or 1.
    uniform = ((high << 20 | low >> 12).double() + 0.5) * 2.0**-52
    return -torch.log(-torch.log(uniform))

"""Gumbel noise of a counter-based generator: a function of seed, example, step and token, of nothing else.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011): the key is
the seed, the counter is (token, step, example). So neither the batch, nor the order of the work, nor the
device changes a draw.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """The four words of 32 bits of each counter, as int64 tensors of one shape that broadcast."""
    a, b, c, d = counter
    first, second = key
    for _ in range(ROUNDS):
        # The product of two words fills 64 bits: its sign bit is one of them, so the shift must be masked.
        low, high = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (
            ((high >> 32) & WORD) ^ b ^ first,
            high & WORD,
            ((low >> 32) & WORD) ^ d ^ second,
            low & WORD,
        )
        first, second = (first + WEYL[0]) & WORD, (second + WEYL[1]) & WORD
    return a, b, c, d


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

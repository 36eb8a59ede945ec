"""Gumbel noise by counters: each number is a function of what it is for, not of what was drawn before.

Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), in integers, so that it
is the same on every device.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF
ROUNDS = 10


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Four words of 32 random bits for each counter and key; int64 tensors that broadcast."""
    a, b, c, d = counter
    low, high = key
    for _ in range(ROUNDS):
        # The products wrap in 64 signed bits; their words are those of the unsigned ones.
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, c = (second >> 32) & WORD ^ b ^ low, (first >> 32) & WORD ^ d ^ high
        b, d = second & WORD, first & WORD
        low, high = (low + WEYL[0]) & WORD, (high + WEYL[1]) & WORD
    return [a, b, c, d]


class GumbelNoise:
    """Noise for some sequences that are written at the same time."""

    def __init__(
        self, seeds: npt.NDArray[np.uint64], samples: npt.NDArray[np.int64], device: torch.device | str
    ) -> None:
        """`seeds` [n]: of each sequence's vector; `samples` [n]: the number of each sample."""
        words = np.ascontiguousarray(seeds).astype("<u8").view("<u4").reshape(-1, 2).astype(np.int64)
        column = torch.from_numpy(words).to(device)
        self._key = column[:, :1], column[:, 1:]
        self._sample = torch.from_numpy(samples.astype(np.int64)).to(device)[:, None]

    def at(self, step: int, d_vocab: int) -> Tensor:
        """One number for each sequence and token id, for the token written at a step: [n, d_vocab]."""
        block = torch.arange(-(-d_vocab // 4), device=self._sample.device)[None]
        counter = (block, torch.full_like(block[:, :1], step), self._sample, torch.zeros_like(block[:, :1]))
        words = torch.stack(philox(counter, self._key), dim=-1).flatten(1)[:, :d_vocab]
        # Near 0, where the largest numbers come from, a float32 keeps all its digits; near 1 it would not.
        uniform = (words.float() + 0.5) * 2.0**-32
        return -torch.log(-torch.log1p(-uniform))

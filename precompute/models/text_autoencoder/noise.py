"""Gumbel noise by counters: a function of vector, sample, step and token, of nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from precompute.models.philox import philox


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

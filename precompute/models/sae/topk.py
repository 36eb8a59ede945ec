"""The TopK SAE: the k largest pre-activations of each row (Gao et al. 2024, arXiv:2406.04093)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from precompute.models.sae.base import SAE, SparseActs
from precompute.models.sae.header import SAEHeader

MIN_NORM = 1e-8
"""Smallest decoder norm divided by."""


class TopKSAE(SAE):
    """The k largest of x W_enc + b_enc, where positive; ties go to the lower feature.

    With `rescale_acts_by_decoder_norm`, pre-activations count times the norm of their decoder row, and
    `decode` uses the row at norm 1.
    """

    def __init__(self, header: SAEHeader, weights: Mapping[str, Tensor], device: str = "cpu") -> None:
        super().__init__(header, weights, device)
        self.k = header.k or 0
        self.norms = self.W_dec.norm(dim=-1) if header.rescale_acts_by_decoder_norm else None

    def decoder_directions(self) -> Tensor:
        """Decoder rows, at norm 1 where activations are rescaled by it."""
        return self.W_dec if self.norms is None else self.W_dec / self.norms.clamp(min=MIN_NORM).unsqueeze(1)

    def _select(self, inputs: Tensor) -> SparseActs:
        pre_acts = torch.addmm(self.weights["b_enc"], inputs, self.W_enc)
        if self.norms is not None:
            pre_acts *= self.norms
        return _top_k_compiled(pre_acts, self.k) if pre_acts.device.type == "cpu" else top_k(pre_acts, self.k)


def top_k(pre_acts: Tensor, k: int) -> SparseActs:
    """The positive ones among the k largest values of each row, with torch alone, on any device."""
    bound = pre_acts.topk(k, dim=-1).values[:, -1:]
    kept = pre_acts >= bound
    for row in (kept.sum(dim=-1) > k).nonzero().flatten().tolist():
        # topk breaks ties as it likes, so the rows that have them are sorted, lower features first.
        order = pre_acts[row].sort(descending=True, stable=True).indices
        kept[row, order[k:]] = False
    kept &= pre_acts > 0
    features = kept.nonzero(as_tuple=True)[1]
    return SparseActs(kept.sum(dim=-1), features, pre_acts[kept])


def _top_k_compiled(pre_acts: Tensor, k: int) -> SparseActs:
    """As `top_k`, compiled, with the rows spread over as many threads as torch uses."""
    from precompute.models.sae.topk_kernel import top_k_rows

    n_rows, dense = len(pre_acts), pre_acts.numpy()
    features, acts = np.empty((n_rows, k), dtype=np.int64), np.empty((n_rows, k), dtype=np.float32)
    counts = np.empty(n_rows, dtype=np.int64)

    def part(rows: slice) -> None:
        top_k_rows(dense[rows], k, features[rows], acts[rows], counts[rows])

    n_threads = torch.get_num_threads()
    bounds = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(part, (slice(a, b) for a, b in itertools.pairwise(bounds))))
    written = np.arange(k) < counts[:, None]
    return SparseActs(
        torch.from_numpy(counts), torch.from_numpy(features[written]), torch.from_numpy(acts[written])
    )

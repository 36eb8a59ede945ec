"""The JumpReLU SAE: a threshold a feature (Rajamanoharan et al. 2024, arXiv:2407.14435)."""

from __future__ import annotations

import torch
from torch import Tensor

from precompute.models.sae.base import SAE, SparseActs, nonzero


class JumpReLUSAE(SAE):
    """acts = ReLU(pre_acts) where pre_acts exceed the threshold, pre_acts = x W_enc + b_enc."""

    def _select(self, inputs: Tensor) -> SparseActs:
        pre_acts = torch.addmm(self.weights["b_enc"], inputs, self.W_enc)
        return nonzero(pre_acts.relu() * (pre_acts > self.weights["threshold"]))

"""The standard SAE: a linear encoder and ReLU (Bricken et al. 2023, Towards Monosemanticity)."""

from __future__ import annotations

import torch
from torch import Tensor

from precompute.models.sae.base import SAE, SparseActs, nonzero


class StandardSAE(SAE):
    """acts = ReLU(x W_enc + b_enc)."""

    def _select(self, inputs: Tensor) -> SparseActs:
        return nonzero(torch.addmm(self.weights["b_enc"], inputs, self.W_enc).relu_())

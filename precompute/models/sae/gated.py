"""The gated SAE: one path says which features fire, the other how much (arXiv:2404.16014)."""

from __future__ import annotations

from torch import Tensor

from precompute.models.sae.base import SAE, SparseActs, nonzero


class GatedSAE(SAE):
    """acts = ReLU(x W_enc exp(r_mag) + b_mag) where x W_enc + b_gate > 0."""

    def _select(self, inputs: Tensor) -> SparseActs:
        projected = inputs @ self.W_enc
        magnitudes = (projected * self.weights["r_mag"].exp() + self.weights["b_mag"]).relu_()
        return nonzero(magnitudes * (projected + self.weights["b_gate"] > 0))

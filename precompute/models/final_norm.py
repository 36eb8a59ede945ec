"""The norm before the output layer, taken apart into its kind, gain, bias and epsilon."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from precompute.errors import NotApplicableError

NormKind = Literal["RMSNorm", "LayerNorm"]
EPSILON_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps")
TOLERANCE = 1e-3
"""Relative; how well the norm must follow its formula."""


@dataclass(frozen=True)
class FinalNorm:
    """y = gain * (x - mean(x)) / sigma + bias; the mean is taken off by LayerNorm only."""

    kind: NormKind
    gain: Tensor
    """float32 [d_model]: the factor that the norm applies, such as Gemma's 1 + weight."""
    bias: Tensor
    """float32 [d_model]."""
    eps: float

    @staticmethod
    def of(module: nn.Module, d_model: int) -> FinalNorm:
        """Find kind, gain and bias of a norm by what it does to a few vectors, whatever its class.

        Raises NotApplicableError for a norm that is neither an RMSNorm nor a LayerNorm.
        """
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        exact = copy.deepcopy(module).float()
        with torch.no_grad():
            probe = _zero_mean_unit(d_model).to(device)
            eps = float(next((getattr(exact, n) for n in EPSILON_NAMES if hasattr(exact, n)), 0.0) or 0.0)
            plus, minus = exact(probe), exact(-probe)
            gain = (plus - minus) / (2 * probe) * (1 + eps) ** 0.5
            bias = (plus + minus) / 2
            for kind in ("RMSNorm", "LayerNorm"):
                norm = FinalNorm(kind, gain, bias, eps)
                if norm._follows(exact, d_model):
                    return norm
        raise NotApplicableError(
            f"the final norm is a {type(module).__name__}, neither an RMSNorm nor a LayerNorm"
        )

    def inverse_sigma(self, x: Tensor) -> Tensor:
        """1 / sigma of each vector of x, float64 [...]: sigma = sqrt(mean(x^2) + eps) for RMSNorm,
        sqrt(var(x) + eps) for LayerNorm."""
        x = x.double()
        if self.kind == "LayerNorm":
            x = x - x.mean(dim=-1, keepdim=True)
        return (x.square().mean(dim=-1) + self.eps).rsqrt()

    def normalized(self, x: Tensor) -> Tensor:
        """x before gain and bias, in float32."""
        x = x.float()
        inverse = self.inverse_sigma(x).float().unsqueeze(-1)
        return (x - x.mean(dim=-1, keepdim=True)) * inverse if self.kind == "LayerNorm" else x * inverse

    def scaled(self, normalized: Tensor) -> Tensor:
        """What leaves the norm."""
        return normalized * self.gain + self.bias

    def _follows(self, module: nn.Module, d_model: int) -> bool:
        """Whether the norm does what this formula says, to large and to small vectors."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(4, d_model, generator=generator) * torch.tensor([[3.0], [1.0], [0.1], [1e-3]])
        x = (x + x.norm(dim=-1, keepdim=True) / d_model**0.5).to(self.gain.device)
        found, expected = module(x), self.scaled(self.normalized(x))
        return bool(((found - expected).norm(dim=-1) <= TOLERANCE * expected.norm(dim=-1)).all())


def _zero_mean_unit(d: int) -> Tensor:
    """A vector without zeros, of mean 0 and mean square 1; float32 [d]."""
    probe = torch.ones(d)
    probe[1::2] = -1
    if d % 2 and d > 1:
        probe[-3:] = torch.tensor([1.0, -2.0, 1.0])
    return probe / probe.square().mean().sqrt()

"""Matrix products of a few rows on a processor, with weights laid out for them once.

A library of matrix products lays weights out anew in each product, unless it is a vector's; for the few rows
of a generated batch that takes longer than the product itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from precompute.models.threads import is_small

N_ROWS = 16
"""For about so many rows weights are laid out; many more profit as well."""


class PackedLinear(nn.Linear):
    """A linear layer that holds its weights twice; without gradients, in float32 on a processor alone."""

    packed: Tensor
    version: int
    """Of the weights that were packed: where they have changed, they are multiplied as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """As ever, but for rounding."""
        is_vector = x.numel() == x.shape[-1]
        if is_vector or x.dtype != torch.float32 or self.weight._version != self.version:
            return nn.functional.linear(x, self.weight, self.bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return product


def pack_weights(model: nn.Module) -> None:
    """Pack the linear layers of a small model that is not to change any more, where that is to be had; of a
    large one a second copy of the weights would take too much memory."""
    if not (is_small(model) and _can_pack()):
        return
    for module in model.modules():
        if type(module) is nn.Linear and _suits(module.weight):
            packed: Any = torch.ops.mkldnn._reorder_linear_weight(module.weight.detach(), N_ROWS)
            module.__class__ = PackedLinear
            object.__setattr__(module, "packed", packed)
            object.__setattr__(module, "version", module.weight._version)


def _can_pack() -> bool:
    """Whether this torch has the two operations, which are the compiler's and not promised to stay."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


def _suits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and not weight.requires_grad

"""Packed weights multiply as the plain ones do, and never serve weights that have changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from precompute.models.packed import PackedLinear, pack_weights


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(48, 33), nn.Linear(33, 20, bias=False)).eval().requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 48), (1, 1, 48), (2, 48), (16, 1, 48), (3, 70, 48)])
def test_packed_layers_give_what_plain_ones_give(shape: tuple[int, ...]) -> None:
    plain, packed = layers(), layers()
    pack_weights(packed)
    assert all(type(layer) is PackedLinear for layer in packed)
    x = torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), plain(x), rtol=1e-5, atol=1e-6)


def test_changed_weights_are_not_served_from_the_packed_copy() -> None:
    packed = layers()
    pack_weights(packed)
    before = packed(torch.ones(4, 48))
    packed[1].weight.mul_(2)
    torch.testing.assert_close(packed(torch.ones(4, 48)), 2 * before)
    doubled = packed.double()(torch.ones(4, 48).double())
    torch.testing.assert_close(doubled, 2 * before.double(), rtol=1e-5, atol=1e-6)


def test_what_learns_or_is_of_another_type_is_left_as_it_is() -> None:
    for model in (layers().requires_grad_(True), layers().bfloat16()):
        pack_weights(model)
        assert all(type(layer) is nn.Linear for layer in model)

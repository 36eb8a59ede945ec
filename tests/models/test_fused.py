"""Fused activation functions: the same values, and the same model."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import NewGELUActivation

from precompute.models.fused import fuse_activations


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=50))
def test_the_operation_has_the_values_of_the_formula(values):
    x = torch.tensor(values)
    expected = 0.5 * x.double() * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3).double()))
    model = torch.nn.Sequential(NewGELUActivation())
    fuse_activations(model)
    assert isinstance(model[0], torch.nn.GELU)
    torch.testing.assert_close(model(x).double(), expected, rtol=1e-5, atol=1e-5)


def test_a_model_says_the_same_with_them():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=50, n_positions=16)).eval()
    ids = torch.arange(32).reshape(2, 16)
    with torch.no_grad():
        before = model(ids).logits
        fuse_activations(model)
        after = model(ids).logits
    assert all(type(block.mlp.act) is torch.nn.GELU for block in model.transformer.h)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)

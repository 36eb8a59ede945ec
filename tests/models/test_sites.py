"""Capture sites against transformers' own hidden states, in several families of models."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from precompute.errors import ModelError, NotApplicableError
from precompute.models.final_norm import FinalNorm
from precompute.models.sites import SiteMap
from tests.models.random_models import D_MODEL, FAMILIES, N_LAYERS, save_model

TOKENS = torch.tensor([[3, 9, 4, 7, 21], [5, 5, 6, 30, 2]])


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    directory = save_model(request.param, tmp_path_factory.mktemp(request.param))
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def seen(model, *names):
    sites = SiteMap.of(model)
    found = sites.observe({name: sites.site(name) for name in names}, TOKENS)
    return [found[name] for name in names]


def hidden_states(model):
    with torch.no_grad():
        return model(TOKENS, output_hidden_states=True).hidden_states


def test_residual_sites_are_the_hidden_states(model):
    """resid_pre of layer N is hidden state N; the last hidden state is after the final norm."""
    expected = hidden_states(model)
    for number in range(N_LAYERS):
        pre, post = seen(model, f"blocks.{number}.hook_resid_pre", f"blocks.{number}.hook_resid_post")
        torch.testing.assert_close(pre, expected[number])
        if number < N_LAYERS - 1:
            torch.testing.assert_close(post, expected[number + 1])
        else:
            norm = SiteMap.of(model).final_norm_module
            # OPT projects its last hidden state.
            if "OPT" not in type(model).__name__:
                torch.testing.assert_close(norm(post), expected[-1], rtol=1e-4, atol=1e-4)


def test_parts_add_up_to_the_layer(model):
    name = type(model).__name__
    if "OPT" in name:
        pytest.skip("OPT's layers have no module for their MLP")
    pre, attention, mlp, post = seen(
        model, *(f"blocks.1.hook_{k}" for k in ("resid_pre", "attn_out", "mlp_out", "resid_post"))
    )
    torch.testing.assert_close(pre + attention + mlp, post, rtol=1e-4, atol=1e-4)
    if "NeoX" in name or "Cohere" in name:
        with pytest.raises(ModelError, match="resid_mid"):
            SiteMap.of(model).site("blocks.1.hook_resid_mid")
    else:
        (middle,) = seen(model, "blocks.1.hook_resid_mid")
        torch.testing.assert_close(middle, pre + attention, rtol=1e-4, atol=1e-4)


def test_final_norm_is_taken_apart(model):
    sites = SiteMap.of(model)
    (x,) = seen(model, f"blocks.{N_LAYERS - 1}.hook_resid_post")
    norm = sites.final_norm
    torch.testing.assert_close(
        norm.scaled(norm.normalized(x)), sites.final_norm_module(x), rtol=1e-4, atol=1e-4
    )
    weight = dict(sites.final_norm_module.named_parameters())["weight"]
    gain = weight + 1 if "Gemma" in type(model).__name__ else weight
    torch.testing.assert_close(norm.gain, gain.detach(), rtol=1e-4, atol=1e-5)
    centered = any(family in type(model).__name__ for family in ("GPT", "OPT", "Cohere"))
    assert norm.kind == ("LayerNorm" if centered else "RMSNorm")


def test_final_site_is_before_the_gain(model):
    (x, normalized) = seen(model, f"blocks.{N_LAYERS - 1}.hook_resid_post", "ln_final.hook_normalized")
    x = x.double()
    if SiteMap.of(model).final_norm.kind == "LayerNorm":
        x = x - x.mean(-1, keepdim=True)
    torch.testing.assert_close(
        normalized.double(), x / x.square().mean(-1, keepdim=True).sqrt(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "name", ["hook_embed", "blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "ln_final.hook_normalized"]
)
def test_replacing_a_value_by_itself_changes_nothing(model, name):
    with torch.no_grad():
        expected = model(TOKENS).logits
        handle = SiteMap.of(model).site(name).replace(lambda value: value.clone())
        torch.testing.assert_close(model(TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
        handle.remove()
        zero = SiteMap.of(model).site(name).replace(torch.zeros_like)
        assert not torch.allclose(model(TOKENS).logits, expected)
        zero.remove()
        torch.testing.assert_close(model(TOKENS).logits, expected)


@pytest.mark.parametrize(
    "name",
    [
        "blocks.3.hook_resid_post",
        "blocks.1.hook_resid",
        "blocks.1.attn.hook_z",
        "",
        "blocks.01.hook_resid_pre",
    ],
)
def test_unknown_sites_name_the_valid_ones(model, name):
    with pytest.raises(ModelError, match=r"N from 0 to 2, hook_embed or ln_final.hook_normalized"):
        SiteMap.of(model).site(name)


def test_other_norms_are_refused():
    with pytest.raises(NotApplicableError, match="Softmax"):
        FinalNorm.of(torch.nn.Softmax(dim=-1), D_MODEL)


@pytest.mark.parametrize("width", [7, 16])
def test_norms_of_odd_width(width):
    module = torch.nn.LayerNorm(width, eps=1e-3)
    module.weight.data = torch.randn(width)
    module.bias.data = torch.randn(width)
    norm = FinalNorm.of(module, width)
    torch.testing.assert_close(norm.gain, module.weight.data, rtol=1e-4, atol=1e-5)
    assert (norm.kind, norm.eps) == ("LayerNorm", 1e-3)

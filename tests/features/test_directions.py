"""Influence, as DESIGN defines its test: the direction added at the last residual, each row's sigma held."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from precompute.features import activations, directions
from precompute.models.sae.registry import load_sae
from precompute.stores.row_store import RowStore
from tests.builders import step_context
from tests.models.random_models import (
    D_MODEL,
    D_SAE,
    D_VOCAB,
    FAMILIES,
    model_type,
    random_examples,
    save_model,
    save_sae,
    write_windows,
)

EXAMPLES = random_examples(9)


def computed(tmp_path, family, **sae):
    """directions and unembed as the two steps give them, and the directories of model and SAE."""
    model, sae_directory = save_model(family, tmp_path / "lm"), save_sae(tmp_path / "sae", **sae)
    subject = model_type(model, sae_directory)
    windows = write_windows(tmp_path / "windows.parquet", EXAMPLES)
    activations.run(step_context(tmp_path / "a", {"windows.parquet": windows}, model_type=subject))
    files = {"activations": tmp_path / "a" / "activations"}
    context = step_context(tmp_path / "d", files, model_type=subject)
    directions.run(context)
    out = tmp_path / "d"
    record = json.loads((out / "directions.json").read_text())
    return np.load(out / "directions.npy"), np.load(out / "unembed.npy"), record, model, sae_directory


def last_residuals(model, examples):
    """float64 [n_rows, d_model]: input of the final norm on every row but BOS, one example at a time."""
    norm = final_norm(model)
    rows = []
    handle = norm.register_forward_pre_hook(lambda _m, args: rows.append(args[0][0, 1:].detach()))
    with torch.no_grad():
        for example in examples:
            model(torch.tensor([example]))
    handle.remove()
    return torch.cat(rows)


def final_norm(model):
    for path in (
        "model.norm",
        "transformer.ln_f",
        "gpt_neox.final_layer_norm",
        "model.decoder.final_layer_norm",
    ):
        try:
            return model.get_submodule(path)
        except AttributeError:
            continue
    raise AssertionError(type(model))


def gain_of(model, norm):
    return norm.weight + 1 if "Gemma" in type(model).__name__ else norm.weight


def logits_after(model, normed):
    """Logits when these vectors leave the final norm; float64 [n_rows, d_vocab]."""
    norm = final_norm(model)
    handle = norm.register_forward_hook(lambda *_: normed[None])
    with torch.no_grad():
        tokens = torch.zeros(1, len(normed), dtype=torch.long)
        logits = model(tokens).logits[0]
    handle.remove()
    return logits


def centered(model, x):
    """As the family's norm does: LayerNorm takes the mean off."""
    is_layer_norm = any(name in type(model).__name__ for name in ("GPT", "OPT", "Cohere"))
    return x - x.mean(-1, keepdim=True) if is_layer_norm else x


@pytest.mark.parametrize("family", FAMILIES)
def test_influence_is_the_effect_of_adding_the_direction(tmp_path, family):
    found_directions, unembed, record, directory, sae = computed(tmp_path, family)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64).eval()
    model.config.final_logit_softcapping = None
    x, norm = last_residuals(model, EXAMPLES)[:40], final_norm(model)
    whole = last_residuals(model, EXAMPLES)
    eps = next(getattr(norm, n) for n in ("eps", "variance_epsilon") if hasattr(norm, n))
    sigma = (centered(model, x).square().mean(-1, keepdim=True) + eps).sqrt()
    all_sigma = (centered(model, whole).square().mean(-1) + eps).sqrt()
    w_dec = load_sae(sae).weights["W_dec"].double()
    assert record["tokens"]
    np.testing.assert_allclose(record["inverse_sigma"], float((1 / all_sigma).mean()), rtol=1e-4)
    np.testing.assert_allclose(found_directions, w_dec.numpy(), rtol=1e-6)
    influence = found_directions.astype(float) @ unembed.astype(float)
    assert influence.shape == (D_SAE, D_VOCAB)
    s_here = float((1 / sigma).mean())
    for feature in (0, 7, D_SAE - 1):
        with torch.no_grad():
            gain, bias = gain_of(model, norm), getattr(norm, "bias", None)
            shift = 0 if bias is None else bias
            moved = centered(model, x + w_dec[feature]) / sigma * gain + shift
            still = centered(model, x) / sigma * gain + shift
        # The last positions of a long sequence read the same output layer as any other.
        effect = (logits_after(model, moved) - logits_after(model, still)).mean(0).numpy()
        expected = effect * record["inverse_sigma"] / s_here
        np.testing.assert_allclose(
            influence[feature], expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max()
        )


def test_directions_as_decode_uses_them(tmp_path):
    found, _, _, _, sae = computed(tmp_path, "llama", rescale_acts_by_decoder_norm=True)
    rows = load_sae(sae).weights["W_dec"].numpy()
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_scale_of_a_row_counts(tmp_path):
    """A layer-normed SAE's decode multiplies directions by the row's deviation: s is its mean over sigma."""
    _, _, record, directory, _ = computed(
        tmp_path, "llama", normalize_activations="layer_norm", hook_name="blocks.2.hook_resid_post"
    )
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64).eval()
    x = last_residuals(model, EXAMPLES)
    sigma = (x.square().mean(-1) + final_norm(model).variance_epsilon).sqrt()
    np.testing.assert_allclose(record["inverse_sigma"], float((x.std(-1) / sigma).mean()), rtol=1e-4)


def test_after_the_final_norm_only_the_gain_applies(tmp_path):
    found, unembed, record, directory, _ = computed(tmp_path, "gpt2", hook_name="ln_final.hook_normalized")
    model = AutoModelForCausalLM.from_pretrained(directory)
    gain, head = model.transformer.ln_f.weight.detach().numpy(), model.lm_head.weight.detach().numpy()
    assert (record["inverse_sigma"], record["norm"]) == (1.0, None)
    np.testing.assert_allclose(unembed, gain[:, None] * head.T, rtol=1e-3, atol=1e-4)
    assert found.shape == (D_SAE, D_MODEL)


def test_embedding_that_is_projected_has_no_influence(tmp_path):
    *_, record, _, _ = computed(tmp_path, "opt", hook_name="hook_embed", d_in=12)
    assert not record["tokens"]
    assert "embeddings" in record["reason"]


def test_store_without_rows_of_a_norm_gives_one(tmp_path):
    class Empty(RowStore):
        def __init__(self):
            pass

        n_shards = 0

    assert directions.inverse_sigma(Empty()) == 1.0

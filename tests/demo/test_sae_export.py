"""Lightwell's SAE format: what is written, and what rounding may cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from precompute.demo.sae_export import Storage, TopKSAE, quantise, save_sae, stored


def random_sae(seed: int, d_in: int = 6, d_sae: int = 20) -> TopKSAE:
    generator = np.random.default_rng(seed)
    draw = generator.standard_normal
    return TopKSAE(
        W_enc=draw((d_in, d_sae)).astype(np.float32),
        W_dec=draw((d_sae, d_in)).astype(np.float32),
        b_enc=draw(d_sae).astype(np.float32),
        b_dec=draw(d_in).astype(np.float32),
        k=4,
    )


@given(st.integers(0, 10**6), st.floats(1e-6, 1e6))
def test_rounding_errs_by_half_a_level_at_most(seed: int, size: float) -> None:
    weights = (np.random.default_rng(seed).standard_normal((7, 5)) * size).astype(np.float32)
    weights[3] = 0.0
    found = quantise(weights)
    error = np.abs(found.dequantised().astype(np.float64) - weights)
    assert found.values.min() >= -127
    assert (error <= found.scale[:, None] * 0.5001).all()
    assert (found.dequantised()[3] == 0.0).all()


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_reader_of_the_file_sees_what_was_promised(tmp_path: Path, storage: Storage) -> None:
    sae = random_sae(0)
    save_sae(sae, tmp_path, "blocks.2.hook_resid_post", storage)
    tensors, promised = load_file(tmp_path / "sae.safetensors"), stored(sae, storage)
    encoder, decoder = tensors["W_enc"].astype(np.float32), tensors["W_dec"].astype(np.float32)
    if storage == "int8":
        assert tensors["W_enc"].dtype == np.int8
        encoder, decoder = encoder * tensors["W_enc_scale"], decoder * tensors["W_dec_scale"][:, None]
    np.testing.assert_array_equal(encoder, promised.W_enc)
    np.testing.assert_array_equal(decoder, promised.W_dec)
    np.testing.assert_array_equal(tensors["b_enc"], sae.b_enc)
    np.testing.assert_array_equal(tensors["b_dec"], sae.b_dec)
    np.testing.assert_allclose(promised.W_enc, sae.W_enc, atol=0.02)


def test_the_description_says_how_to_read_it(tmp_path: Path) -> None:
    save_sae(random_sae(1), tmp_path / "sae", "blocks.2.hook_resid_post", "int8")
    assert json.loads((tmp_path / "sae" / "sae.json").read_text(encoding="utf-8")) == {
        "format": "lightwell-sae",
        "format_version": 1,
        "architecture": "topk",
        "k": 4,
        "d_in": 6,
        "d_sae": 20,
        "hook_name": "blocks.2.hook_resid_post",
        "apply_b_dec_to_input": True,
        "prepend_bos": True,
        "storage": "int8",
    }

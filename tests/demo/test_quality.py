"""The figures of an SAE, on a small random model whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from precompute.demo.activations import truncated, write_activations
from precompute.demo.language_model import load_model, mean_loss
from precompute.demo.quality import measure, split_model
from precompute.demo.sae_export import TopKSAE
from precompute.demo.token_rows import chunk_documents

D_MODEL, D_VOCAB, N_CTX = 16, 50, 12


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=D_VOCAB,
            hidden_size=D_MODEL,
            intermediate_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=32,
            initializer_range=0.3,
        )
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 30, 20)
    return chunk_documents([generator.integers(2, D_VOCAB, n).astype(np.uint16) for n in lengths], N_CTX)


def lossless_sae() -> TopKSAE:
    """Return an SAE whose latents are both directions of every axis: it loses nothing."""
    eye = np.eye(D_MODEL, dtype=np.float32)
    both = np.concatenate([eye, -eye])
    zeros = np.zeros(2 * D_MODEL, dtype=np.float32)
    return TopKSAE(np.ascontiguousarray(both.T), both, zeros, np.full(D_MODEL, 0.25, np.float32), D_MODEL)


def site_by_hand(directory: Path, rows: np.ndarray) -> np.ndarray:
    """Return the site's activations row by row, from the whole model's hidden states."""
    model, parts = load_model(directory), []
    for row in rows:
        with torch.no_grad():
            states = model(torch.from_numpy(row[row >= 0])[None], output_hidden_states=True).hidden_states
        parts.append(states[3][0, 1:].numpy())
    return np.concatenate(parts)


def test_a_lossless_sae_recovers_everything(directory: Path, rows: np.ndarray) -> None:
    found = measure(split_model(directory), {"sae": lossless_sae()}, rows, torch.zeros(D_MODEL), 4)["sae"]
    x = site_by_hand(directory, rows)
    assert found.n_rows == len(x)
    assert found.ce_model == pytest.approx(mean_loss(load_model(directory), rows), rel=1e-5)
    assert found.recovered == pytest.approx(1.0, abs=1e-4)
    assert pytest.approx(0.0, abs=1e-6) == found.FVU
    assert found.cosine == pytest.approx(1.0, abs=1e-5)
    assert pytest.approx(D_MODEL) == found.L0
    assert found.ce_mean == pytest.approx(found.ce_zero)


def test_an_sae_that_says_nothing_recovers_nothing(directory: Path, rows: np.ndarray) -> None:
    silent = lossless_sae()
    silent.b_enc[:] = -1e6
    silent.b_dec[:] = 0.0
    found = measure(split_model(directory), {"sae": silent}, rows, torch.ones(D_MODEL), 4)["sae"]
    x = site_by_hand(directory, rows).astype(np.float64)
    assert found.recovered == pytest.approx(0.0, abs=1e-6)
    assert pytest.approx((x**2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-4) == found.FVU
    assert found.dead == 1.0
    assert found.L0 == 0.0


def test_written_activations_are_those_of_the_whole_model(
    directory: Path, rows: np.ndarray, tmp_path: Path
) -> None:
    found = write_activations(truncated(load_model(directory)), rows, tmp_path / "acts.npy", batch_size=3)
    np.testing.assert_allclose(found, site_by_hand(directory, rows), rtol=2e-3, atol=2e-3)

"""Sparse training kernels against dense autograd, and runs that are interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.demo.sae_training import SAERun, SAETraining, geometric_median
from precompute.demo.sparse_kernels import (
    AdamStep,
    Latents,
    adam_rows,
    add_gradients,
    order_by_latent,
    reconstruct,
    top_k,
    top_k_among,
)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 200))
def test_top_k_keeps_the_largest(seed: int, k: int, extra: int) -> None:
    scores = np.random.default_rng(seed).integers(-500, 500, (5, k + extra)).astype(np.int16)
    found = np.take_along_axis(scores, top_k(scores, k), axis=1)
    np.testing.assert_array_equal(np.sort(found), np.sort(scores)[:, -k:])


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_top_k_among_looks_at_candidates_only(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(-500, 500, (4, 30)).astype(np.int16)
    candidates = np.sort(generator.permutation(30)[: k + 3]).astype(np.int32)
    rows = np.array([2, 0])
    found = top_k_among(scores, candidates, rows, k)
    assert np.isin(found, candidates).all()
    kept = np.take_along_axis(scores[rows], found, axis=1)
    np.testing.assert_array_equal(np.sort(kept), np.sort(scores[rows][:, candidates])[:, -k:])


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=20))
def test_entries_are_grouped_by_latent(rows: list[list[int]]) -> None:
    chosen = np.array(rows, dtype=np.int32)
    indptr, order = order_by_latent(chosen, 10)
    np.testing.assert_array_equal(order, np.argsort(chosen.ravel(), kind="stable"))
    np.testing.assert_array_equal(np.diff(indptr), np.bincount(chosen.ravel(), minlength=10))


def random_latents(d_sae: int, d_in: int) -> Latents:
    draw = np.random.default_rng(0).standard_normal
    encoder, decoder = draw((d_sae, d_in)), draw((d_sae, d_in))
    return Latents(encoder.astype(np.float32), draw(d_sae).astype(np.float32), decoder.astype(np.float32))


@pytest.mark.full
def test_sparse_gradients_are_those_of_dense_autograd() -> None:
    latents, k = random_latents(40, 8), 5
    x = np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)
    dense = [torch.from_numpy(value).double().requires_grad_() for value in latents]
    scores = torch.from_numpy(x).double() @ dense[0].T + dense[1]
    best = torch.topk(scores, k, dim=1)
    acts = torch.zeros_like(scores).scatter(1, best.indices, best.values.relu())
    error = acts @ dense[2] - torch.from_numpy(x).double()
    (0.5 * error.square().sum()).backward()

    found = reconstruct(x, x, best.indices.numpy().astype(np.int32), latents)
    gradients = Latents(*(np.zeros_like(value) for value in latents))
    add_gradients(x, found, gradients)
    np.testing.assert_allclose(found.error, error.detach().numpy(), atol=1e-4)
    for sparse, parameter in zip(gradients, dense, strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(sparse, parameter.grad.numpy(), rtol=1e-3, atol=1e-3)


def test_adam_is_torchs() -> None:
    generator = np.random.default_rng(2)
    weights = generator.standard_normal((6, 4)).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = torch.optim.Adam([parameter], lr=0.01, eps=1e-10)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, 5):
        gradient = generator.standard_normal((6, 4)).astype(np.float32)
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        adam_rows(weights, gradient, first, second, AdamStep(0.01, step, False))
        assert (gradient == 0).all()
    np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_unit_rows_stay_unit() -> None:
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((6, 4)).astype(np.float32)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    gradient = generator.standard_normal((6, 4)).astype(np.float32)
    adam_rows(weights, gradient, np.zeros_like(weights), np.zeros_like(weights), AdamStep(0.1, 1, True))
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1.0, rtol=1e-5)


def test_the_geometric_median_withstands_an_outlier() -> None:
    points = np.zeros((11, 3), dtype=np.float32)
    points[10] = 1000.0
    np.testing.assert_allclose(geometric_median(points), 0.0, atol=1e-3)


TRAINING = SAETraining(
    d_sae=64, n_rows=12 * 256, k=4, rows_per_step=256, dead_after=600, k_aux=4, aux_rows=64, lr=3e-3
)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    generator = np.random.default_rng(4)
    directions = generator.standard_normal((24, 16))
    mixture = (generator.random((1200, 24)) < 0.1) * generator.random((1200, 24))
    return (mixture @ directions + 0.5).astype(np.float16)


def test_training_explains_the_data_better(data: np.ndarray, tmp_path: Path) -> None:
    run = SAERun(SAETraining(**{**vars(TRAINING), "n_rows": 400 * 256}), data)
    before = run.train_step(run._load(np.arange(256)))
    run.train(tmp_path / "run.safetensors")
    assert run.train_step(run._load(np.arange(256))) < 0.2 * before
    np.testing.assert_allclose(np.linalg.norm(run.weights.decoder, axis=1), 1.0, rtol=1e-4)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(data: np.ndarray, tmp_path: Path) -> None:
    whole = SAERun(TRAINING, data).train(tmp_path / "whole.safetensors")
    part = SAERun(TRAINING, data)
    for rows in part._batches():
        if part.step == 7:
            break
        part.train_step(part._load(rows))
    part.save(tmp_path / "part.safetensors")
    resumed = SAERun(TRAINING, data)
    resumed.restore(tmp_path / "part.safetensors")
    finished = resumed.train(tmp_path / "part.safetensors")
    for name, value in whole.named().items():
        np.testing.assert_array_equal(value, finished.named()[name])

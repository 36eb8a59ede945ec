"""Compiled kernels of TopK-SAE training on a CPU: only active latents are touched after the encoder.

Arrays are float32 and row-major; indices are int32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[Any]

_BLOCK = 64


class Latents(NamedTuple):
    """The parameters of the latents, or their gradients."""

    encoder: Floats
    """(d_sae, d_in)."""
    b_enc: Floats
    """(d_sae,)."""
    decoder: Floats
    """(d_sae, d_in)."""


class Reconstruction(NamedTuple):
    """What some latents make of some rows, with the loss 0.5 * sum(error**2)."""

    chosen: Integers
    """Latents of each row (n_rows, k)."""
    acts: Floats
    """Their activations (n_rows, k)."""
    d_acts: Floats
    """Gradient of the loss in their pre-activations (n_rows, k)."""
    error: Floats
    """acts @ decoder - target (n_rows, d_in)."""


class AdamStep(NamedTuple):
    """One step of Adam."""

    rate: float
    """Learning rate."""
    step: int
    """Number of the step, from 1."""
    unit_norm: bool
    """Whether rows keep length 1."""


@numba.njit(parallel=True, cache=True)
def top_k(scores: Integers, k: int) -> npt.NDArray[np.int32]:
    """Return the column indices (n_rows, k) of each row's largest scores, in no particular order.

    A block of columns is compared with the smallest score kept so far as a whole; few blocks need more.
    """
    n_rows, n_columns = scores.shape
    chosen = np.empty((n_rows, k), dtype=np.int32)
    for row in numba.prange(n_rows):
        line = scores[row]
        kept = line[:k].copy()
        for j in range(k):
            chosen[row, j] = j
        lowest = np.argmin(kept)
        for first in range(k, n_columns, _BLOCK):
            last = min(first + _BLOCK, n_columns)
            largest = line[first]
            for column in range(first, last):
                largest = max(largest, line[column])
            if largest <= kept[lowest]:
                continue
            for column in range(first, last):
                if line[column] > kept[lowest]:
                    kept[lowest] = line[column]
                    chosen[row, lowest] = column
                    lowest = np.argmin(kept)
    return chosen


@numba.njit(parallel=True, cache=True)
def top_k_among(scores: Integers, candidates: Integers, rows: Integers, k: int) -> npt.NDArray[np.int32]:
    """Return, for some rows of `scores`, the columns of the k largest scores among the candidates."""
    chosen = np.empty((len(rows), k), dtype=np.int32)
    for i in numba.prange(len(rows)):
        line = scores[rows[i]]
        kept = np.empty(k, dtype=scores.dtype)
        for j in range(k):
            chosen[i, j] = candidates[j]
            kept[j] = line[candidates[j]]
        lowest = np.argmin(kept)
        for j in range(k, len(candidates)):
            score = line[candidates[j]]
            if score > kept[lowest]:
                kept[lowest] = score
                chosen[i, lowest] = candidates[j]
                lowest = np.argmin(kept)
    return chosen


@numba.njit(parallel=True, cache=True, fastmath=True)
def reconstruct(x: Floats, target: Floats, chosen: Integers, latents: Latents) -> Reconstruction:
    """Explain `target` (n_rows, d_in) by the chosen latents (n_rows, k) of the rows `x` (n_rows, d_in).

    acts = relu(x @ encoder.T + b_enc) at the chosen latents alone.
    """
    encoder, b_enc, decoder = latents
    n_rows, k = chosen.shape
    d_in = x.shape[1]
    acts = np.empty((n_rows, k), dtype=np.float32)
    d_acts = np.empty((n_rows, k), dtype=np.float32)
    error = np.empty((n_rows, d_in), dtype=np.float32)
    for row in numba.prange(n_rows):
        residual = -target[row]
        for j in range(k):
            latent = chosen[row, j]
            value = b_enc[latent]
            for i in range(d_in):
                value += x[row, i] * encoder[latent, i]
            value = max(value, np.float32(0.0))
            acts[row, j] = value
            if value > 0.0:
                for i in range(d_in):
                    residual[i] += value * decoder[latent, i]
        error[row] = residual
        for j in range(k):
            latent = chosen[row, j]
            slope = np.float32(0.0)
            if acts[row, j] > 0.0:
                for i in range(d_in):
                    slope += residual[i] * decoder[latent, i]
            d_acts[row, j] = slope
    return Reconstruction(chosen, acts, d_acts, error)


@numba.njit(cache=True)
def order_by_latent(chosen: Integers, d_sae: int) -> tuple[Integers, Integers]:
    """Return (indptr, order): the flat entries of `chosen` grouped by latent, by counting sort."""
    flat = chosen.ravel()
    indptr = np.zeros(d_sae + 1, dtype=np.int64)
    for latent in flat:
        indptr[latent + 1] += 1
    for latent in range(d_sae):
        indptr[latent + 1] += indptr[latent]
    cursor = indptr[:-1].copy()
    order = np.empty(len(flat), dtype=np.int32)
    for entry in range(len(flat)):
        latent = flat[entry]
        order[cursor[latent]] = entry
        cursor[latent] += 1
    return indptr, order


@numba.njit(parallel=True, cache=True, fastmath=True)
def add_gradients(x: Floats, found: Reconstruction, gradients: Latents) -> None:
    """Add the summed gradients of the loss on rows `x` (n_rows, d_in) to `gradients`."""
    chosen, acts, d_acts, error = found
    g_encoder, g_b_enc, g_decoder = gradients
    k, d_in, d_sae = chosen.shape[1], x.shape[1], len(g_b_enc)
    indptr, order = order_by_latent(chosen, d_sae)
    flat_acts, flat_d_acts = acts.ravel(), d_acts.ravel()
    for latent in numba.prange(d_sae):
        for position in range(indptr[latent], indptr[latent + 1]):
            entry = order[position]
            row = entry // k
            value, slope = flat_acts[entry], flat_d_acts[entry]
            if value <= 0.0:
                continue
            g_b_enc[latent] += slope
            for i in range(d_in):
                g_decoder[latent, i] += value * error[row, i]
                g_encoder[latent, i] += slope * x[row, i]


@numba.njit(parallel=True, cache=True, fastmath=True)
def adam_rows(weights: Floats, gradients: Floats, first: Floats, second: Floats, adam: AdamStep) -> None:
    """Take one Adam step in place on each row (n_rows, d), then clear the gradients.

    With `unit_norm` the gradient's part along the row is removed and the row brought back to length 1.
    `first` and `second` are the running moments of the gradients.
    """
    rate, step, unit_norm = adam
    beta1, beta2, epsilon = np.float32(0.9), np.float32(0.999), np.float32(1e-10)
    scale1 = np.float32(rate / (1.0 - 0.9**step))
    scale2 = np.float32(1.0 / (1.0 - 0.999**step))
    n_rows, d_in = weights.shape
    for row in numba.prange(n_rows):
        along = np.float32(0.0)
        if unit_norm:
            for i in range(d_in):
                along += weights[row, i] * gradients[row, i]
        squares = np.float32(0.0)
        for i in range(d_in):
            gradient = gradients[row, i] - along * weights[row, i]
            gradients[row, i] = 0.0
            m = beta1 * first[row, i] + (np.float32(1.0) - beta1) * gradient
            v = beta2 * second[row, i] + (np.float32(1.0) - beta2) * gradient * gradient
            first[row, i], second[row, i] = m, v
            weights[row, i] -= scale1 * m / (np.sqrt(v * scale2) + epsilon)
            squares += weights[row, i] * weights[row, i]
        if unit_norm:
            inverse = np.float32(1.0) / np.sqrt(squares)
            for i in range(d_in):
                weights[row, i] *= inverse

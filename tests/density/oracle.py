"""Slow, obvious twins in float64 of what `precompute.density` computes."""

from __future__ import annotations

import numpy as np


def cosines(vectors: np.ndarray) -> np.ndarray:
    """float64 [n, n]; 0 with a vector of length zero."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1)
    units = np.divide(wide, norms[:, None], where=norms[:, None] > 0, out=np.zeros_like(wide))
    return units @ units.T


def neighbors(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and cosines of the k nearest others, ties by number."""
    values = cosines(vectors)
    np.fill_diagonal(values, -np.inf)
    k = min(k, len(vectors) - 1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(values, order, axis=1)


def weights(distances: np.ndarray, alpha: float, sign: int, cap: float, mix: float) -> np.ndarray:
    """Proportions, cut at the cap again and again until nothing exceeds it, then mixed with uniform."""
    n = len(distances)
    raw = distances.astype(np.float64) ** (sign * alpha)
    capped = np.zeros(n, dtype=bool)
    while True:
        share = np.where(capped, cap / n, 0.0)
        free = ~capped
        if free.any():
            share[free] = raw[free] / raw[free].sum() * (1 - capped.sum() * cap / n)
        over = free & (share > cap / n * (1 + 1e-12))
        if not over.any():
            return (1 - mix) * share + mix / n
        capped |= over


def row_weights(texts: list[str], vectors: np.ndarray, k: int, **chosen: float) -> np.ndarray:
    """Weights of rows from texts and their vectors, the whole definition in one place."""
    distinct = list(dict.fromkeys(texts))
    first = [texts.index(text) for text in distinct]
    if len(distinct) == 1:
        return np.full(len(texts), 1 / len(texts))
    _, near = neighbors(vectors[first], k)
    found = weights((1 - near).mean(axis=1), **chosen)
    return np.array([found[distinct.index(text)] / texts.count(text) for text in texts])

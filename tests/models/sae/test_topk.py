"""Exact top-k selection against sorting, with ties to the lower feature."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.models.sae.topk import _top_k_compiled, top_k


def by_sorting(pre_acts: np.ndarray, k: int) -> np.ndarray:
    """float32 [n_rows, d_sae]: the oracle; sort, lower features first, keep k, drop what is not positive."""
    dense = np.zeros_like(pre_acts)
    for row, line in enumerate(pre_acts):
        for feature in sorted(range(len(line)), key=lambda f: (-line[f], f))[:k]:
            dense[row, feature] = max(line[feature], 0)
    return dense


def dense(acts, shape) -> np.ndarray:
    out = np.zeros(shape, dtype=np.float32)
    rows = np.repeat(np.arange(shape[0]), acts.counts.numpy())
    out[rows, acts.features.numpy()] = acts.acts.numpy()
    assert (acts.acts > 0).all()
    order = rows * shape[1] + acts.features.numpy()
    assert (np.diff(order) > 0).all()
    return out


@given(
    n_rows=st.integers(1, 9),
    width=st.integers(1, 900),
    share=st.floats(0, 1),
    levels=st.integers(1, 500),
    shift=st.sampled_from([-3.0, 0.0, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_equals_sorting(n_rows, width, share, levels, shift, seed):
    """Few levels make many ties; a shift makes rows that are all positive or nearly silent."""
    k = max(1, int(share * min(width, 60)))
    rng = np.random.default_rng(seed)
    pre_acts = (np.round(rng.normal(size=(n_rows, width)) * levels) / levels + shift).astype(np.float32)
    expected = by_sorting(pre_acts, k)
    for select in (_top_k_compiled, top_k):
        np.testing.assert_array_equal(dense(select(torch.from_numpy(pre_acts), k), pre_acts.shape), expected)

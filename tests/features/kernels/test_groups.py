"""Groups of rows by code, against dictionaries."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from precompute.features.kernels.groups import block_groups, leading_groups

codes_of_rows = st.lists(st.sampled_from([-1, 0, 1, 2, 7, 2**20, 2**31 - 1]), min_size=1, max_size=20)


def random_block(n_rows: int, n_features: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, rows and acts (quarters, so that means tie) of a few features."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_features, n_rows)) < rng.random((n_features, 1))
    owners, rows = np.nonzero(mask)
    indptr = np.concatenate([[0], np.bincount(owners, minlength=n_features).cumsum()]).astype(np.int64)
    return indptr, rows.astype(np.int64), (rng.integers(1, 5, len(rows)) / 4).astype(np.float32)


def by_code(codes: np.ndarray, rows: np.ndarray, acts: np.ndarray) -> dict[int, list[float]]:
    """The activations of each code, in the order in which codes first occur."""
    found: dict[int, list[float]] = defaultdict(list)
    for row, act in zip(rows.tolist(), acts.tolist(), strict=True):
        if codes[row] >= 0:
            found[int(codes[row])].append(act)
    return found


@given(codes_of_rows, st.integers(1, 4), st.integers(0, 10**6))
def test_groups_are_those_of_a_dictionary(codes: list[int], n_features: int, seed: int) -> None:
    row_codes = np.array(codes, dtype=np.int32)
    indptr, rows, acts = random_block(len(codes), n_features, seed)
    ends, code, count, total, largest = block_groups(row_codes, indptr, rows, acts)
    for f in range(n_features):
        mine, entries = slice(ends[f], ends[f + 1]), slice(indptr[f], indptr[f + 1])
        expected = by_code(row_codes, rows[entries], acts[entries])
        assert code[mine].tolist() == list(expected)
        assert count[mine].tolist() == [len(a) for a in expected.values()]
        assert total[mine].tolist() == [sum(a) for a in expected.values()]
        assert largest[mine].tolist() == [max(a) for a in expected.values()]


@given(codes_of_rows, st.integers(1, 4), st.integers(1, 5), st.integers(0, 10**6))
def test_leading_groups_go_by_count_then_mean_then_code(
    codes: list[int], n_features: int, size: int, seed: int
) -> None:
    row_codes = np.array(codes, dtype=np.int32)
    indptr, rows, acts = random_block(len(codes), n_features, seed)
    n_kept, code, count, total, largest = leading_groups(row_codes, indptr, rows, acts, size)
    for f in range(n_features):
        entries = slice(indptr[f], indptr[f + 1])
        groups = by_code(row_codes, rows[entries], acts[entries])
        order = sorted(groups, key=lambda c: (-len(groups[c]), -sum(groups[c]) / len(groups[c]), c))[:size]
        kept = [(int(code[f, r]), count[f, r], total[f, r], largest[f, r]) for r in range(n_kept[f])]
        assert kept == [(c, len(groups[c]), sum(groups[c]), max(groups[c])) for c in order]

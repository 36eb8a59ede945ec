"""Leaders: the first few in a total order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from precompute.features.kernels.leaders import leaders

candidates = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(candidates, st.integers(1, 10), st.randoms())
def test_leaders_are_the_head_of_the_sorted_candidates(pairs: list, size: int, random: object) -> None:
    codes = list(range(len(pairs)))
    random.shuffle(codes)  # type: ignore[attr-defined]
    kept = np.empty(size, np.int64)
    primary, secondary = (np.array([p[i] for p in pairs], dtype=np.float64) for i in (0, 1))
    n = leaders(primary, secondary, np.array(codes, np.int64), len(pairs), kept)
    expected = sorted(range(len(pairs)), key=lambda i: (-primary[i], -secondary[i], codes[i]))
    assert kept[:n].tolist() == expected[:size]

"""Windows around rows: each token of their union counts once."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from precompute.features.kernels.windows import count_tokens

D_VOCAB, SPECIAL = 6, 0


@given(
    st.lists(st.lists(st.integers(0, D_VOCAB - 1), max_size=9), min_size=1, max_size=5),
    st.integers(0, 12),
    st.integers(0, 10**6),
)
def test_counts_are_those_of_a_set_of_places(examples: list[list[int]], width: int, seed: int) -> None:
    places = [(e, p) for e, tokens in enumerate(examples) for p in range(len(tokens))]
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(places)) < 0.4)
    indptr = np.cumsum([0, *(len(e) for e in examples)]).astype(np.int64)
    count, seen = np.zeros(D_VOCAB, np.int64), np.empty(D_VOCAB, np.int64)
    n_seen, n_tokens = count_tokens(
        np.array([t for e in examples for t in e], dtype=np.int32),
        indptr,
        np.arange(len(places)),
        np.array([e for e, _ in places], dtype=np.int32),
        np.arange(D_VOCAB) == SPECIAL,
        chosen,
        width,
        count,
        seen,
    )
    inside = {(e, q) for e, p in (places[c] for c in chosen) for q in range(p - width, p + width + 1)}
    expected = Counter(examples[e][p] for e, p in places if (e, p) in inside and examples[e][p] != SPECIAL)
    assert {t: int(count[t]) for t in seen[:n_seen].tolist()} == expected
    assert n_tokens == sum(expected.values()) == count.sum()

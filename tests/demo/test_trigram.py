"""The trigram model against slow counting with dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.demo.trigram import fit_trigrams, triples

D_VOCAB = 6

DOCUMENTS = st.lists(st.lists(st.integers(0, D_VOCAB - 1), max_size=30), min_size=1, max_size=8)


class SlowKneserNey:
    """Interpolated Kneser-Ney, as the formula reads."""

    def __init__(self, documents: list[list[int]]) -> None:
        padded = [[0, 0, *document] for document in documents]
        self.counts = {
            3: Counter(tuple(d[i - 2 : i + 1]) for d in padded for i in range(2, len(d))),
        }
        self.counts[2] = Counter(gram[1:] for gram in self.counts[3])
        self.counts[1] = Counter(gram[1:] for gram in self.counts[2])
        self.discounts = {n: self._discount(self.counts[n]) for n in (1, 2, 3)}

    @staticmethod
    def _discount(counts: Counter[tuple[int, ...]]) -> float:
        n1 = sum(value == 1 for value in counts.values())
        n2 = sum(value == 2 for value in counts.values())
        return n1 / (n1 + 2 * n2) if n1 and n2 else 0.5

    def probability(self, context: tuple[int, ...], token: int) -> float:
        n = len(context) + 1
        lower = self.probability(context[1:], token) if context else 1 / D_VOCAB
        followers: dict[int, int] = defaultdict(int)
        for gram, count in self.counts[n].items():
            if gram[:-1] == context:
                followers[gram[-1]] += count
        total = sum(followers.values())
        if not total:
            return lower
        discount = self.discounts[n]
        return (max(followers.get(token, 0) - discount, 0) + discount * len(followers) * lower) / total


@settings(max_examples=40)
@given(DOCUMENTS)
def test_probabilities_agree_with_counting(documents: list[list[int]]) -> None:
    arrays = [np.array(document, dtype=np.uint16) for document in documents]
    model, slow = fit_trigrams(arrays, D_VOCAB), SlowKneserNey(documents)
    grid = np.array([(u, v, w) for u in range(D_VOCAB) for v in range(D_VOCAB) for w in range(D_VOCAB)])
    found = model.probabilities(grid[:, 0], grid[:, 1], grid[:, 2])
    expected = [slow.probability((int(u), int(v)), int(w)) for u, v, w in grid]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(max_examples=40)
@given(DOCUMENTS)
def test_probabilities_of_a_context_add_up(documents: list[list[int]]) -> None:
    arrays = [np.array(document, dtype=np.uint16) for document in documents]
    model = fit_trigrams(arrays, D_VOCAB)
    tokens = np.arange(D_VOCAB)
    for u in range(D_VOCAB):
        for v in range(D_VOCAB):
            found = model.probabilities(np.full(D_VOCAB, u), np.full(D_VOCAB, v), tokens)
            np.testing.assert_allclose(found.sum(), 1.0, rtol=1e-12)


def test_a_document_begins_with_two_special_tokens() -> None:
    before, last, token = triples([np.array([3, 4], dtype=np.uint16), np.array([5], dtype=np.uint16)])
    assert list(zip(before, last, token, strict=True)) == [(0, 0, 3), (0, 3, 4), (0, 0, 5)]


def test_what_was_seen_is_less_surprising() -> None:
    generator = np.random.default_rng(0)
    pattern = [np.tile(np.array([1, 2, 3, 4], dtype=np.uint16), 20)]
    noise = [generator.integers(0, D_VOCAB, 80).astype(np.uint16)]
    model = fit_trigrams(pattern, D_VOCAB)
    assert model.cross_entropy(pattern) < 0.5 < model.cross_entropy(noise)

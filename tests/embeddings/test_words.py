"""The words of clusters against a slow computation."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

import numpy as np
import polars as pl

from precompute.embeddings.words import STOP_WORDS, cluster_words

TEXTS = [
    "The proof of the theorem uses induction",
    "proof by Induction, theorem",
    "the cat sat; cat",
    "a cat and a dog",
    "",
    "induction of cats",
    "outside everything",
]
CLUSTERS = np.array([0, 0, 1, 1, 1, 0, -1], dtype=np.int32)


def expected_words(cluster: int) -> list[str]:
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for text, own in zip(TEXTS, CLUSTERS.tolist(), strict=True):
        words = [w for w in re.findall(r"[^\W\d]\w{2,}", text.lower()) if w not in STOP_WORDS]
        for word in words if own >= 0 else []:
            votes[own][word] += 1 / len(words)
    share = {c: {w: v / sum(counts.values()) for w, v in counts.items()} for c, counts in votes.items()}
    total = Counter[str]()
    for counts in share.values():
        total.update(counts)
    score = {w: s * math.log(1 + 1 / total[w]) for w, s in share[cluster].items()}
    return sorted(score, key=lambda w: (-round(score[w], 12), w))[:5]


def test_words_by_class_tfidf() -> None:
    found = cluster_words(pl.Series(TEXTS), CLUSTERS)
    assert found["cluster"].to_list() == [0, 1]
    assert found["n"].to_list() == [3, 3]
    assert found["words"].to_list() == [expected_words(0), expected_words(1)]
    assert found["label"][1] == " · ".join(expected_words(1)[:3])


def test_no_cluster_and_a_cluster_without_words() -> None:
    assert cluster_words(pl.Series(["a text"]), np.array([-1], dtype=np.int32)).height == 0
    found = cluster_words(pl.Series(["1 2", "$ %"]), np.array([0, 0], dtype=np.int32))
    assert found.rows() == [(0, 2, "", [])]

"""An interpolated Kneser-Ney trigram model: what the demo's language model has to beat.

Chen and Goodman (1999), section 2.7: absolute discounts D = n1 / (n1 + 2 n2) at every order, continuation
counts below the highest, and a uniform distribution below the unigrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from precompute.demo.tokenizer import BOS_ID

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class NgramTable:
    """The counts of one order: discounted probabilities are looked up by sorted keys."""

    grams: Keys
    """Sorted keys of the n-grams: ((u * d_vocab) + v) * d_vocab + w."""
    counts: Keys
    """Count of each n-gram (a continuation count below the highest order)."""
    contexts: Keys
    """Sorted keys of the n-grams' first n - 1 tokens."""
    totals: Keys
    """Summed counts of each context."""
    n_distinct: Keys
    """Distinct n-grams of each context."""
    discount: float
    """What is taken from every count."""

    def interpolate(self, context: Keys, token: Keys, lower: Floats, d_vocab: int) -> Floats:
        """Return p(token | context) given the next lower order's probabilities of the same tokens."""
        counts = _look_up(self.grams, self.counts, context * d_vocab + token)
        totals = _look_up(self.contexts, self.totals, context)
        distinct = _look_up(self.contexts, self.n_distinct, context)
        known = totals > 0
        safe = np.where(known, totals, 1)
        direct = np.maximum(counts - self.discount, 0.0) / safe
        return np.where(known, direct + self.discount * distinct / safe * lower, lower)


@dataclass(frozen=True)
class TrigramModel:
    """Three orders and the size of the vocabulary."""

    unigrams: NgramTable
    """Continuation counts of tokens."""
    bigrams: NgramTable
    """Continuation counts of pairs."""
    trigrams: NgramTable
    """Counts of triples."""
    d_vocab: int
    """Tokens of the vocabulary."""

    def probabilities(self, before: Keys, last: Keys, token: Keys) -> Floats:
        """Return p(token | before, last) of each triple (n,)."""
        uniform = np.full(len(token), 1.0 / self.d_vocab)
        unigram = self.unigrams.interpolate(np.zeros_like(token), token, uniform, self.d_vocab)
        bigram = self.bigrams.interpolate(last, token, unigram, self.d_vocab)
        return self.trigrams.interpolate(before * self.d_vocab + last, token, bigram, self.d_vocab)

    def cross_entropy(self, documents: Sequence[Ids]) -> float:
        """Return the mean loss in nats of all tokens, each seen after its own document's two before it."""
        return float(-np.log(self.probabilities(*triples(documents))).mean())


def fit_trigrams(documents: Sequence[Ids], d_vocab: int) -> TrigramModel:
    """Count the documents' n-grams."""
    before, last, token = triples(documents)
    grams, counts = np.unique((before * d_vocab + last) * d_vocab + token, return_counts=True)
    pairs, pair_counts = np.unique(grams % d_vocab**2, return_counts=True)
    tokens, token_counts = np.unique(pairs % d_vocab, return_counts=True)
    return TrigramModel(
        _table(tokens, token_counts, d_vocab),
        _table(pairs, pair_counts, d_vocab),
        _table(grams, counts, d_vocab),
        d_vocab,
    )


def triples(documents: Sequence[Ids]) -> tuple[Keys, Keys, Keys]:
    """Return (token before last, last token, token) of every token; documents begin with two BOS."""
    bos = np.full(2, BOS_ID, dtype=np.int64)
    padded = [np.concatenate([bos, document.astype(np.int64)]) for document in documents]
    parts = [[document[shift : len(document) - 2 + shift] for document in padded] for shift in range(3)]
    before, last, token = (np.concatenate([*part, np.empty(0, np.int64)]) for part in parts)
    return before, last, token


def _table(grams: Keys, counts: Keys, d_vocab: int) -> NgramTable:
    """Return the table of one order from its sorted keys and their counts."""
    contexts, starts, n_distinct = np.unique(grams // d_vocab, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, starts) if len(starts) else counts[:0]
    n1, n2 = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    # a half where no count is 1 or 2: the estimate has no meaning there, and 0 would leave no mass
    discount = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    return NgramTable(grams, counts, contexts, totals, n_distinct, discount)


def _look_up(keys: Keys, values: Keys, wanted: Keys) -> Keys:
    """Return the value of each wanted key, 0 where there is none."""
    if not len(keys):
        return np.zeros_like(wanted)
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[found] == wanted, values[found], 0)

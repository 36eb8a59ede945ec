"""Batches of tokenised texts of like length, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenLists:
    """The token ids of texts, in one flat array."""

    ids: Int64[np.ndarray, " n_tokens"]
    indptr: Int64[np.ndarray, " n_texts_plus_1"]
    """Text i has the tokens indptr[i] to indptr[i + 1] - 1; at least one."""
    is_cut: Bool[np.ndarray, " n_texts"]
    """Whether the text was longer."""

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, text: int) -> NDArray[np.int64]:
        return self.ids[self.indptr[text] : self.indptr[text + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.indptr)

    def chosen(self, texts: NDArray[np.int64]) -> TokenLists:
        """The tokens of some texts, in the order given."""
        return token_lists([self[text] for text in texts.tolist()], self.is_cut[texts])

    def part(self, first: int, stop: int) -> TokenLists:
        """The tokens of the texts `first` to `stop - 1`."""
        indptr = self.indptr[first : stop + 1]
        ids = self.ids[indptr[0] : indptr[-1]]
        return TokenLists(np.asarray(ids, np.int64), indptr - indptr[0], self.is_cut[first:stop])


def token_lists(lists: Sequence[Sequence[int] | NDArray[np.int64]], is_cut: NDArray[np.bool_]) -> TokenLists:
    """The lists of token ids, joined."""
    lengths = np.array([len(ids) for ids in lists], dtype=np.int64)
    parts = [np.asarray(ids, dtype=np.int64) for ids in lists]
    joined = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return TokenLists(joined, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), is_cut)


@dataclass(frozen=True)
class TokenBatch:
    """Texts that go through the model together."""

    texts: Int64[np.ndarray, " n_texts"]
    """Which of the texts given these are."""
    token_ids: Int64[np.ndarray, "n_texts n_ctx"]
    """Padded on the right, so that the tokenizer's own padding side does not matter."""
    lengths: Int64[np.ndarray, " n_texts"]


def longest_first(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of texts by length: what needs most memory comes first; equal ones keep their order."""
    return np.argsort(-lengths, kind="stable")


def batches_of(tokens: TokenLists, token_budget: int, batch_size: int | None) -> Iterator[TokenBatch]:
    """Batches, longest texts first: of `batch_size` texts, or else of token_budget tokens with padding.

    A text longer than the budget is a batch of its own.
    """
    order, lengths = longest_first(tokens.lengths), tokens.lengths
    first = 0
    while first < len(order):
        longest = int(lengths[order[first]])
        size = batch_size or max(1, token_budget // longest)
        yield padded(tokens, order[first : first + size])
        first += size


def padded(tokens: TokenLists, texts: NDArray[np.int64], pad_id: int = 0) -> TokenBatch:
    """These texts as one batch."""
    lengths = tokens.lengths[texts]
    rows = np.full((len(texts), int(lengths.max())), pad_id, dtype=np.int64)
    for row, text in zip(rows, texts.tolist(), strict=True):
        ids = tokens[text]
        row[: len(ids)] = ids
    return TokenBatch(texts, rows, lengths)

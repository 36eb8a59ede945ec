"""Token rows: how token streams and texts are cut for training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from precompute.demo.tokenizer import BOS_ID

IGNORED = -1
"""Fills the end of short rows; never a token id."""

Ids = npt.NDArray[np.uint16]
Rows = npt.NDArray[np.int64]


def join_documents(documents: Sequence[Ids]) -> Ids:
    """Return one stream in which every document follows a beginning-of-text token."""
    bos = np.array([BOS_ID], dtype=np.uint16)
    return np.concatenate([part for document in documents for part in (bos, document)])


@dataclass(frozen=True)
class RowOrder:
    """The order in which one epoch visits a stream: a pure function of (seed, epoch)."""

    n_tokens: int
    """Length of the stream."""
    width: int
    """Tokens of a row without its beginning-of-text token."""
    seed: int
    """Seed shared by all epochs."""

    def starts(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the shuffled row starts of an epoch, at its own random offset."""
        generator = np.random.default_rng([self.seed, epoch])
        offset = int(generator.integers(self.width))
        starts = np.arange(offset, self.n_tokens - self.width + 1, self.width)
        return generator.permutation(starts)

    def batches(self, n_rows: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield batches of row starts for ever, epoch after epoch; a short last batch is left out."""
        epoch = 0
        while True:
            starts = self.starts(epoch)
            for first in range(0, len(starts) - n_rows + 1, n_rows):
                yield starts[first : first + n_rows]
            epoch += 1


def take_rows(stream: Ids, starts: npt.NDArray[np.int64], width: int) -> Rows:
    """Return rows (n_rows, 1 + width): the beginning-of-text token, then `width` tokens of the stream."""
    tokens = stream[starts[:, None] + np.arange(width)[None, :]].astype(np.int64)
    return np.concatenate([np.full((len(starts), 1), BOS_ID, dtype=np.int64), tokens], axis=1)


def chunk_documents(documents: Sequence[Ids], n_ctx: int) -> Rows:
    """Cut each text in consecutive chunks, as the pipeline does: (n_chunks, n_ctx) rows.

    A row is the beginning-of-text token and up to n_ctx - 1 text tokens, then `IGNORED`.
    """
    width = n_ctx - 1
    pieces = [
        document[first : first + width] for document in documents for first in range(0, len(document), width)
    ]
    rows = np.full((len(pieces), n_ctx), IGNORED, dtype=np.int64)
    rows[:, 0] = BOS_ID
    for row, piece in zip(rows, pieces, strict=True):
        row[1 : 1 + len(piece)] = piece
    return rows


def by_length(rows: Rows) -> Rows:
    """Return the rows ordered by their number of tokens, so that batches hold little padding."""
    ordered: Rows = rows[np.argsort((rows != IGNORED).sum(1), kind="stable")]
    return ordered


def trimmed(rows: Rows) -> Rows:
    """Return the rows without the columns that are padding in all of them."""
    return rows[:, : int((rows != IGNORED).sum(1).max())]

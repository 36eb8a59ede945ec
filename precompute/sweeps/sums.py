"""Sums over the rows of each text, of which every score of a sweep is made."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextSums:
    """One entry a text (or a resample); all float64. Sums of several lots may be added or weighted."""

    n_rows: Array
    """Rows of the text [n]."""
    x: Array
    """Sum of activations [n, d_in]."""
    x_square: Array
    """Sum of their squared lengths [n]."""
    residual: Array
    """Sum of the expected residual under best of K [n, n_k, d_in]."""
    residual_square: Array
    """Sum of its expected squared length [n, n_k]."""

    @staticmethod
    def of_rows(
        text: npt.NDArray[np.integer],
        x: npt.NDArray[np.floating],
        x_hat: npt.NDArray[np.floating],
        weights: Array,
    ) -> TextSums:
        """Add up rows by text.

        `text` [n_rows]: ascending numbers of texts, from 0; `x` [n_rows, d_in]: activations; `x_hat` [n_rows,
        n_samples, d_in]: reconstructions; `weights` [n_rows, n_k, n_samples]: those of `subsets`.
        """
        x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
        error = np.square(x[:, None] - x_hat).sum(-1)
        per_row = (
            np.ones(len(x)),
            x,
            np.square(x).sum(-1),
            x[:, None] - weights @ x_hat,
            np.einsum("rks,rs->rk", weights, error),
        )
        starts = np.flatnonzero(np.diff(text, prepend=-1))
        return TextSums(*(np.add.reduceat(values, starts, axis=0) for values in per_row))

    def __len__(self) -> int:
        return len(self.n_rows)

    def weighted(self, counts: npt.NDArray[np.floating]) -> TextSums:
        """Sums of `counts` [n, n_texts] copies of each text, as n entries: one matrix product a field."""
        counts = counts.astype(np.float64)

        def product(values: Array) -> Array:
            return (counts @ values.reshape(len(values), -1)).reshape(len(counts), *values.shape[1:])

        return TextSums(*(product(getattr(self, field.name)) for field in fields(self)))

    def total(self) -> TextSums:
        """The sums over all texts, as one entry."""
        return self.weighted(np.ones((1, len(self))))

    def without_each(self) -> TextSums:
        """The sums over all texts but one, for each text: what the jackknife needs."""
        total = self.total()
        pairs = ((getattr(total, field.name), getattr(self, field.name)) for field in fields(self))
        return TextSums(*(whole - part for whole, part in pairs))


def joined(parts: list[TextSums]) -> TextSums:
    """The texts of several lots, in their order."""
    names = [field.name for field in fields(TextSums)]
    return TextSums(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

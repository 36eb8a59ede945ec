"""Two groups of texts compared feature by feature, with 95 % intervals over texts: formulas on arrays.

The unit is the text, never the row: rows of one text are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]
Measure = Literal["texts", "rows", "mean"]
MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "texts": "share of texts on which it fires",
        "rows": "share of a text's tokens on which it fires, mean over texts",
        "mean": "mean activation over a text's tokens, mean over texts",
    }
)
"""What is compared, by the names in the address."""
Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


@dataclass(frozen=True)
class Group:
    """One set of texts, as features see it; arrays are [d_sae]."""

    n_texts: int
    firing: Array
    """Texts on which the feature fires at least once."""
    rows: Array
    """Sum over texts of the share of the text's rows on which it fires."""
    rows_squared: Array
    """The same of the share's square."""
    means: Array
    """Sum over texts of the mean activation over the text's rows."""
    means_squared: Array

    @staticmethod
    def of(shares: csr_matrix, means: csr_matrix) -> Group:
        """From one line a text: float64 [n_texts, d_sae], of shares of rows and of mean activations."""
        d_sae = shares.shape[1]

        def columns(matrix: csr_matrix, power: int) -> Array:
            summed = np.bincount(matrix.indices, weights=matrix.data**power, minlength=d_sae)
            return np.asarray(summed, dtype=np.float64)

        moments = (columns(matrix, power) for matrix in (shares, means) for power in (1, 2))
        return Group(shares.shape[0], columns(shares, 0), *moments)

    def mean(self, measure: str) -> Array:
        """What is compared: a share of texts, or a mean over texts."""
        sums = {"texts": self.firing, "rows": self.rows, "mean": self.means}[measure]
        return sums / self.n_texts

    def variance(self, measure: str) -> Array:
        """Sample variance over texts (ddof 1); NaN for one text."""
        squared = {"rows": self.rows_squared, "mean": self.means_squared}[measure]
        mean = self.mean(measure)
        if self.n_texts < 2:
            return np.full_like(mean, np.nan)
        # Rounding can take what is 0 a little below.
        return np.maximum(0, (squared - self.n_texts * mean**2) / (self.n_texts - 1))


@dataclass(frozen=True)
class Differences:
    """A less B, of every feature; arrays are [d_sae]."""

    measure: str
    a: Array
    b: Array
    difference: Array
    low: Array
    """Ends of the 95 % interval; NaN where one text alone says nothing of the spread."""
    high: Array


def differences(a: Group, b: Group, measure: str) -> Differences:
    """Compare two groups feature by feature."""
    mean_a, mean_b = a.mean(measure), b.mean(measure)
    if measure == "texts":
        low, high = newcombe(a.firing, a.n_texts, b.firing, b.n_texts)
    else:
        spread = welch(a.variance(measure), a.n_texts, b.variance(measure), b.n_texts)
        low, high = mean_a - mean_b - spread, mean_a - mean_b + spread
    return Differences(measure, mean_a, mean_b, mean_a - mean_b, low, high)


def wilson(successes: Array, n: int) -> tuple[Array, Array]:
    """Wilson's score interval of a share (Wilson 1927, JASA 22)."""
    share, z2 = successes / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return np.maximum(0, centre - half), np.minimum(1, centre + half)


def newcombe(a: Array, n_a: int, b: Array, n_b: int) -> tuple[Array, Array]:
    """Interval of a difference of shares from their Wilson intervals (Newcombe 1998, Stat. Med. 17:873,
    method 10)."""
    (low_a, high_a), (low_b, high_b) = wilson(a, n_a), wilson(b, n_b)
    share_a, share_b = a / n_a, b / n_b
    below = np.sqrt((share_a - low_a) ** 2 + (high_b - share_b) ** 2)
    above = np.sqrt((high_a - share_a) ** 2 + (share_b - low_b) ** 2)
    return share_a - share_b - below, share_a - share_b + above


def welch(variance_a: Array, n_a: int, variance_b: Array, n_b: int) -> Array:
    """Half the interval of a difference of means, by Student's t with Welch's degrees of freedom; 0 where
    nothing varies, NaN where a group has one text."""
    from scipy.special import stdtrit

    part_a, part_b = variance_a / n_a, variance_b / n_b
    total = part_a + part_b
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = total**2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
        half = stdtrit(freedom, 0.975) * np.sqrt(total)
    return np.where(total == 0, 0.0, half)


def ranked(found: Differences, sign: int, n: int) -> list[int]:
    """The features with the largest differences in favour of A (sign 1) or of B (-1)."""
    size = sign * found.difference
    order = np.argsort(-size, kind="stable")[:n]
    return [int(feature) for feature in order if size[feature] > 0]

"""A few features together: the rows that they share, and the examples where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.address import AddressError, feature_number, shortened
from dashboard.queries import Queries
from dashboard.questions.rows import examples_of_rows, listed, one_a_text, texts_of_examples
from dashboard.records import ShownExample
from precompute.stores.feature_store import FeatureActivations

MOST = 10
"""Features side by side."""
N_EXAMPLES = 10
"""Shared examples shown, one a text."""


def features_of(queries: Queries, value: object) -> tuple[int, ...]:
    """The features that an address names, such as `3,7`, in its order; raises AddressError for more than
    MOST, for one that is named twice, and for one that does not exist."""
    if value is None or value == "":
        return ()
    if not isinstance(value, str):
        raise AddressError(f"features {shortened(value)}", "numbers such as 3,7", "choose rows in the table")
    found = tuple(queries.known_feature(part.strip()) for part in value.split(","))
    twice = [feature for feature in found if found.count(feature) > 1]
    if twice:
        raise AddressError(f"feature {twice[0]} twice", "each feature once", "remove one of them")
    if len(found) > MOST:
        raise AddressError(f"{len(found)} features", f"at most {MOST} side by side", "remove some of them")
    return found


def one_of_features(value: object, features: tuple[int, ...], usual: int) -> int:
    """One of the compared features, as an address or a field names it; None gives the usual one."""
    number = usual if value in (None, "") else feature_number(value)
    if number not in features:
        raise AddressError(
            f"feature {number}", f"one of {', '.join(map(str, features))}", "choose a feature on the page"
        )
    return number


@dataclass(frozen=True)
class Overlap:
    """On how many rows features fire, alone and in pairs."""

    features: tuple[int, ...]
    n_rows: int
    """All rows of the store."""
    n_any: int
    """Rows on which at least one of them fires."""
    n_all: int
    """Rows on which all of them fire."""
    n_both: NDArray[np.int64]
    """[n_features, n_features]; the diagonal has the rows on which each fires."""
    pearson: NDArray[np.float64]
    """[n_features, n_features]: over all rows, zeros included; NaN where one never varies."""

    @property
    def n_active(self) -> NDArray[np.int64]:
        """[n_features]: rows on which each fires."""
        return np.diagonal(self.n_both)

    @property
    def jaccard(self) -> NDArray[np.float64]:
        """[n_features, n_features]: rows on which both fire over rows on which either does; NaN for none."""
        either = self.n_active[:, None] + self.n_active[None, :] - self.n_both
        return _divided(self.n_both, either)

    @property
    def lift(self) -> NDArray[np.float64]:
        """[n_features, n_features]: n_both · n_rows / (n_a · n_b); NaN where one never fires."""
        return _divided(self.n_both * float(self.n_rows), self.n_active[:, None] * self.n_active[None, :])


def _divided(above: NDArray[np.generic], below: NDArray[np.generic]) -> NDArray[np.float64]:
    shares = np.full(below.shape, np.nan)
    np.divide(above, below, out=shares, where=below != 0)
    return shares


@dataclass(frozen=True)
class Together:
    """Activations of a few features over the rows on which at least one fires."""

    features: tuple[int, ...]
    found: tuple[FeatureActivations, ...]
    rows: NDArray[np.int64]
    """[n_any], ascending."""
    acts: NDArray[np.float32]
    """[n_features, n_any], 0 where a feature is silent."""

    def of(self, feature: int) -> FeatureActivations:
        """Where one of them fires."""
        return self.found[self.features.index(feature)]


def together(queries: Queries, features: tuple[int, ...]) -> Together:
    """Read where some features fire; that of the features asked for last is kept."""

    def read() -> Together:
        found = tuple(queries.artifacts.feature(feature) for feature in features)
        rows = np.unique(np.concatenate([one.rows for one in found])).astype(np.int64)
        acts = np.zeros((len(features), len(rows)), dtype=np.float32)
        for place, one in enumerate(found):
            acts[place, np.searchsorted(rows, one.rows)] = one.acts
        return Together(features, found, rows, acts)

    return queries.tables.last_asked("features together", "transpose", features, read)


def overlap(queries: Queries, features: tuple[int, ...]) -> Overlap:
    """Rows shared by each two of some features, exactly."""
    joint, n_rows = together(queries, features), queries.store().n_rows
    fires = joint.acts != 0
    # Counts are exact in float64, whose products are much quicker than those of integers.
    both = (fires.astype(np.float64) @ fires.T.astype(np.float64)).astype(np.int64)
    return Overlap(
        features=features,
        n_rows=n_rows,
        n_any=len(joint.rows),
        n_all=int(fires.all(axis=0).sum()),
        n_both=both,
        pearson=_pearson(joint.acts.astype(np.float64), n_rows),
    )


def _pearson(acts: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Correlations over n rows, of which those not in `acts` [n_features, n_any] are zero in all."""
    means = acts.sum(axis=1) / n
    covariance = acts @ acts.T / n - np.outer(means, means)
    deviations = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    return np.clip(_divided(covariance, np.outer(deviations, deviations)), -1, 1)


@dataclass(frozen=True)
class SharedExample:
    """One example on which at least two of the features fire."""

    example: ShownExample
    """Its `acts` are those of the coloured feature, its `position` the token where most comes together."""
    second: NDArray[np.float32]
    """[n_tokens]: activations of the underlined feature, NaN where the position is no row."""
    maxima: tuple[float, ...]
    """Largest activation of each feature on it; 0 where it is silent."""


@dataclass(frozen=True)
class Shared:
    """Examples that features share."""

    examples: tuple[SharedExample, ...]
    n_shared: int
    """Examples on which at least two fire."""
    n_by_all: int
    """Examples on which all fire."""


def shared_examples(queries: Queries, features: tuple[int, ...], colour: int, under: int) -> Shared:
    """Examples on which most of the features fire, then those on which they fire most strongly, each
    measured by its own maximum; one a text."""
    joint = together(queries, features)
    if not len(joint.rows):
        return Shared((), 0, 0)
    of_row = examples_of_rows(queries, joint.rows)
    numbers, starts = np.unique(of_row, return_index=True)
    maxima = np.maximum.reduceat(joint.acts, starts, axis=1)
    firing = (maxima > 0).sum(axis=0)
    strength = _relative(joint.acts)
    best = np.maximum.reduceat(strength, starts)
    order = np.lexsort((numbers, -best, -firing))
    chosen = one_a_text(order[firing[order] > 1], texts_of_examples(queries).group[numbers], N_EXAMPLES)
    spans = [np.arange(starts[i], starts[i + 1] if i + 1 < len(starts) else len(of_row)) for i in chosen]
    tops = np.array([span[np.argmax(strength[span])] for span in spans], dtype=np.int64)
    shown = _shown(queries, joint, colour, numbers[chosen], tops)
    second = joint.of(under)
    return Shared(
        tuple(
            SharedExample(
                example,
                queries.row_index().spread(
                    example.example, len(example.str_tokens), second.rows, second.acts
                ),
                tuple(maxima[:, place].tolist()),
            )
            for example, place in zip(shown, chosen, strict=True)
        ),
        int((firing > 1).sum()),
        int((firing == len(features)).sum()),
    )


def _relative(acts: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n_any]: the sum of the activations on each row, each as a share of its feature's maximum."""
    tops = acts.max(axis=1, keepdims=True)
    summed: NDArray[np.float32] = (acts / np.where(tops > 0, tops, 1)).sum(axis=0)
    return summed


def _shown(
    queries: Queries,
    joint: Together,
    colour: int,
    examples: NDArray[np.int64],
    tops: NDArray[np.int64],
) -> tuple[ShownExample, ...]:
    own = joint.acts[joint.features.index(colour)]
    table = listed(queries, examples, joint.rows[tops], own[tops])
    return queries.shown_examples(joint.of(colour), table)

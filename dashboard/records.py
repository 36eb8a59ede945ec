"""What the pages show, as named records: answers of the queries, input of figures and components."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins, as numpy.histogram gives them."""

    bin_edges: NDArray[np.float64]
    """[n_bins + 1]"""
    counts: NDArray[np.int64]
    """[n_bins]"""
    n_zero: int = 0
    """Values that are exactly zero, apart from the bins."""
    zero_bin: int | None = None
    """The bin in which the zeros are to be shown; None where they stand apart from the bins."""


@dataclass(frozen=True)
class FrequencyDistribution:
    """How often features fire: the overview's histogram."""

    histogram: Histogram
    """Over log10 of the share of rows on which a feature fires; `n_zero` counts the silent ones."""
    n_features: int
    n_dense: int
    """Features that fire on more than `dense_share` of all rows."""
    dense_share: float


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature's row of `feature_stats.parquet`, and what other tables add to it."""

    feature: int
    d_sae: int
    stats: Mapping[str, Any]
    """By column; None where absent."""
    logit: Mapping[str, Any]
    """Mean, std, skewness and kurtosis of its logit effects; empty where not computed."""
    cluster: int | None
    """In the feature map; -1 for none, None where not computed."""
    cluster_label: str | None

    @property
    def is_silent(self) -> bool:
        """Whether the feature never fires on this corpus."""
        return bool(self.stats["n_nonzero"] == 0)


@dataclass(frozen=True)
class Effect:
    """What a feature does to one token."""

    token_id: int
    token: str
    influence: float
    """Logits per unit of activation."""


@dataclass(frozen=True)
class TokenEffects:
    """Tokens that a feature pushes up, and those it pushes down, strongest first."""

    promoted: tuple[Effect, ...]
    suppressed: tuple[Effect, ...]


@dataclass(frozen=True)
class Band:
    """A group of examples, by how strongly the feature fires on them."""

    name: str
    """As in `examples.parquet`: top, q5, v5, miss."""
    label: str
    description: str
    n_examples: int
    """Of this feature."""


@dataclass(frozen=True)
class BandMark:
    """A band of examples, as it is marked below the histogram."""

    name: str
    """Such as q2 or v5."""
    low: float
    high: float


@dataclass(frozen=True)
class ShownExample:
    """One example of a feature, with what is needed to draw it."""

    rank: int
    example: int
    text_index: int
    text_id: str
    chunk: int
    position: int | None
    """Token of the activation; None for a near miss without one, and for a whole example."""
    activation: float
    token_ids: tuple[int, ...]
    str_tokens: tuple[str, ...]
    acts: NDArray[np.float32]
    """[n_tokens], NaN where the position is no row."""
    metadata: Mapping[str, Any]
    n_copies: int
    """Texts of the corpus that are equal to this one, itself included."""
    is_set: bool = False
    """Whether the whole example is one row, a set of tokens: then each of them has its activation."""


@dataclass(frozen=True)
class Pair:
    """Rows on which one or the other of two features fires."""

    feature: int
    other: int
    n_rows: int
    """All rows of the store."""
    n_either: int
    n_both: int
    n_first: int
    """Rows on which the first fires."""
    n_second: int
    pearson: float
    """Over all rows, zeros included; NaN where one never varies."""
    rows: NDArray[np.int64]
    """[n_shown], ascending: all rows where either fires, or a sample of them."""
    first: NDArray[np.float32]
    """[n_shown]: activation of the first feature."""
    second: NDArray[np.float32]
    seed: int | None
    """Of the sample; None where all rows are there."""

    @property
    def jaccard(self) -> float:
        """Share of the rows where either fires on which both do."""
        return self.n_both / self.n_either if self.n_either else math.nan

    @property
    def lift(self) -> float:
        """n_both against what independence would give: n_both · n_rows / (n_first · n_second)."""
        chance = self.n_first * self.n_second
        return self.n_both * self.n_rows / chance if chance else math.nan


@dataclass(frozen=True)
class RowPage:
    """Some rows of the feature table."""

    rows: list[dict[str, Any]]
    n_rows: int
    """Rows in all that pass the filters."""


@dataclass(frozen=True)
class CorpusSummary:
    """How much text the model was run over."""

    source: str
    n_texts: int
    """Texts that the examples are cut from."""
    n_texts_in_corpus: int
    n_examples: int
    n_held_out_examples: int
    n_held_out_rows: int
    n_ctx: int
    """Tokens in an example at most."""
    held_out: bool
    """Whether the held-out examples come from texts set apart, rather than from those used."""
    prepend_bos: bool
    pooled: bool
    """Whether each row is a whole example, a set of tokens."""
    metadata_columns: tuple[str, ...]


@dataclass(frozen=True)
class StoreSummary:
    """What the activation store holds."""

    n_rows: int
    n_nonzero: int
    d_in: int
    d_sae: int
    backend: str
    acts_dtype: str

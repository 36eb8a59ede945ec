"""The columns of the feature table: one list that the table, its filters, its addresses and the docs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["feature", "count", "decimal", "tokens", "cluster"]


@dataclass(frozen=True)
class Column:
    """One column of the feature table."""

    name: str
    """In addresses, filters and sorts."""
    heading: str
    kind: Kind
    explanation: str
    """One or two sentences with the formula, shown on demand."""
    step: str
    """The step whose artifact it comes from."""
    width: int
    """Pixels, to begin with."""

    @property
    def is_text(self) -> bool:
        """Whether it is filtered as text."""
        return self.kind in ("tokens", "cluster")


COLUMNS = (
    Column("feature", "Feature", "feature", "Number of the SAE's latent, from 0.", "feature_stats", 96),
    Column(
        "promotes",
        "Promotes",
        "tokens",
        "The three tokens whose logits rise most when the feature fires: "
        "s · (W_dec[f] ⊙ gain) · W_U, in logits per unit of activation.",
        "influences",
        250,
    ),
    Column(
        "tfidf",
        "Top TF-IDF token",
        "tokens",
        "The token most typical of the windows of 5 tokens each side of where the feature fires: "
        "tf · ln((N+1)/(df+1)).",
        "tfidf",
        150,
    ),
    Column(
        "frac_active",
        "Share active",
        "decimal",
        "Share of all rows (token positions, special ones left out) on which the feature fires; 0 to 1.",
        "feature_stats",
        120,
    ),
    Column(
        "n_nonzero",
        "Active rows",
        "count",
        "Number of rows on which the feature fires.",
        "feature_stats",
        110,
    ),
    Column("max", "Max activation", "decimal", "Largest activation over all rows.", "feature_stats", 120),
    Column(
        "mean_active",
        "Mean when active",
        "decimal",
        "Mean activation over the rows on which the feature fires; empty for one that never does.",
        "feature_stats",
        130,
    ),
    Column(
        "decoder_norm",
        "Decoder norm",
        "decimal",
        "Euclidean length of the feature's decoder row, as decode uses it.",
        "feature_stats",
        115,
    ),
    Column(
        "kurtosis",
        "Logit kurtosis",
        "decimal",
        "Excess kurtosis of the feature's logit effects over the whole vocabulary: "
        "high where few tokens stand out.",
        "logit_stats",
        118,
    ),
    Column(
        "cluster",
        "Cluster",
        "cluster",
        "Cluster of decoder directions in the feature map, by its most typical tokens.",
        "feature_map",
        190,
    ),
)
BY_NAME: Mapping[str, Column] = MappingProxyType({column.name: column for column in COLUMNS})
"""The columns by name."""

"""The columns of the feature table: one list that the table, its filters, its addresses and the docs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dashboard.address import AddressError, shortened

Kind = Literal["feature", "related", "count", "decimal", "share", "tokens", "cluster", "text"]
"""How a value is shown and filtered: a feature's own number, the number of another one, a count, a number,
a share from 0 to 1 (shown as a percentage), tokens, a cluster, what a person wrote."""


@dataclass(frozen=True)
class Column:
    """One column of the feature table."""

    name: str
    """In addresses, filters, sorts and exports."""
    heading: str
    kind: Kind
    explanation: str
    """One or two sentences with the formula, shown on demand."""
    step: str
    """The step whose artifact it comes from; empty for what people wrote."""
    width: int = 116
    """Pixels, to begin with."""
    source: str = ""
    """Its name in that artifact, where it is another one."""
    is_standard: bool = False
    """Whether it is shown until somebody chooses columns."""

    @property
    def is_text(self) -> bool:
        """Whether it is filtered as text."""
        return self.kind in ("tokens", "cluster", "text")


COLUMNS = (
    Column(
        "feature",
        "Feature",
        "feature",
        "Number of the SAE's latent, from 0.",
        "feature_stats",
        96,
        is_standard=True,
    ),
    Column("label", "Label", "text", "What people call it; written on its page.", "", 200, is_standard=True),
    Column("category", "Category", "text", "The group of its label.", "", 130, is_standard=True),
    Column("confidence", "Confidence, %", "count", "How sure the label's author is, 0 to 100 %.", "", 100),
    Column("notes", "Notes", "text", "What people noted of it.", "", 240),
    Column("author", "Author", "text", "Who last changed its label or notes.", "", 100),
    Column("edited", "Edited", "text", "When its label or notes were last changed, UTC.", "", 150),
    Column(
        "promotes",
        "Promotes",
        "tokens",
        "The three tokens whose logits rise most when the feature fires: "
        "s · (W_dec[f] ⊙ gain) · W_U, in logits per unit of activation.",
        "influences",
        250,
        is_standard=True,
    ),
    Column(
        "suppresses",
        "Suppresses",
        "tokens",
        "The three tokens whose logits fall most when the feature fires.",
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
        is_standard=True,
    ),
    Column(
        "frac_active",
        "Share active",
        "share",
        "Share of all rows (token positions, special ones left out) on which the feature fires, in percent.",
        "feature_stats",
        is_standard=True,
    ),
    Column(
        "sparsity",
        "Sparsity",
        "share",
        "Share of all rows on which the feature is silent, in percent: 1 − share active.",
        "feature_stats",
    ),
    Column(
        "n_nonzero",
        "Active rows",
        "count",
        "Number of rows on which the feature fires.",
        "feature_stats",
        is_standard=True,
    ),
    Column(
        "n_examples",
        "Active examples",
        "count",
        "Number of examples (windows of a text) on which the feature fires at least once.",
        "feature_stats",
    ),
    Column(
        "max",
        "Max activation",
        "decimal",
        "Largest activation over all rows.",
        "feature_stats",
        is_standard=True,
    ),
    Column("min", "Min activation", "decimal", "Smallest activation over all rows.", "feature_stats"),
    Column(
        "mean",
        "Mean",
        "decimal",
        "Mean activation over all rows, those on which it is silent as 0.",
        "feature_stats",
    ),
    Column(
        "std",
        "Std",
        "decimal",
        "Standard deviation of the activation over all rows (ddof 0), zeros included.",
        "feature_stats",
    ),
    Column(
        "mean_active",
        "Mean when active",
        "decimal",
        "Mean activation over the rows on which the feature fires; empty for one that never does.",
        "feature_stats",
        is_standard=True,
    ),
    Column(
        "q25",
        "Lower quartile",
        "decimal",
        "A quarter of the non-zero activations lie below this one.",
        "feature_stats",
    ),
    Column(
        "median",
        "Median",
        "decimal",
        "Median of the non-zero activations; empty for a feature that never fires.",
        "feature_stats",
    ),
    Column(
        "q75",
        "Upper quartile",
        "decimal",
        "A quarter of the non-zero activations lie above this one.",
        "feature_stats",
    ),
    Column(
        "decoder_norm",
        "Decoder norm",
        "decimal",
        "Euclidean length of the feature's decoder row, as decode uses it.",
        "feature_stats",
        is_standard=True,
    ),
    Column(
        "logit_std",
        "Logit std",
        "decimal",
        "Standard deviation of the feature's logit effects over the whole vocabulary, "
        "in logits per unit of activation.",
        "logit_stats",
        source="std",
    ),
    Column(
        "skewness",
        "Logit skewness",
        "decimal",
        "Skewness of the feature's logit effects over the whole vocabulary: "
        "above 0 where the strong ones are promotions.",
        "logit_stats",
    ),
    Column(
        "kurtosis",
        "Logit kurtosis",
        "decimal",
        "Excess kurtosis of the feature's logit effects over the whole vocabulary: "
        "high where few tokens stand out.",
        "logit_stats",
        is_standard=True,
    ),
    Column(
        "neighbor",
        "Nearest feature",
        "related",
        "The feature whose decoder direction has the largest cosine with this one's, among all features.",
        "neighbors",
    ),
    Column(
        "neighbor_cosine",
        "Nearest cosine",
        "decimal",
        "Cosine of the decoder directions of this feature and of the nearest one.",
        "neighbors",
        source="cosine",
    ),
    Column(
        "coactive",
        "Most co-active",
        "related",
        "The feature that fires on the same rows most: the largest Jaccard index.",
        "coactivations",
        source="other",
    ),
    Column(
        "jaccard",
        "Co-active Jaccard",
        "decimal",
        "Rows on which both this feature and the most co-active one fire, over rows on which either does.",
        "coactivations",
    ),
    Column(
        "cluster",
        "Cluster",
        "cluster",
        "Cluster of decoder directions in the feature map, by its most typical tokens.",
        "feature_map",
        190,
        is_standard=True,
    ),
)
BY_NAME: Mapping[str, Column] = MappingProxyType({column.name: column for column in COLUMNS})
"""The columns by name."""
STANDARD = tuple(column.name for column in COLUMNS if column.is_standard)
"""Shown until somebody chooses."""
STEPS = tuple(dict.fromkeys(column.step for column in COLUMNS if column.step))
"""The steps whose artifacts the table joins."""
COLUMNS_PARAMETER = "columns"
"""The parameter of an address that names the columns shown."""


def chosen(parameter: str | None) -> tuple[str, ...]:
    """The columns that an address asks for, in the table's order and with the feature's number; raises
    AddressError for a name that is none."""
    if parameter is None:
        return STANDARD
    asked = [part for part in parameter.split(",") if part]
    unknown = [name for name in asked if name not in BY_NAME]
    if unknown:
        raise AddressError(
            f"column {shortened(unknown[0])}", f"one of {', '.join(BY_NAME)}", "choose columns on the page"
        )
    return tuple(column.name for column in COLUMNS if column.name in asked or column.name == "feature")


def columns_parameter(names: tuple[str, ...]) -> dict[str, str]:
    """The address parameter of a choice of columns; none for the usual ones."""
    return {} if names == STANDARD else {COLUMNS_PARAMETER: ",".join(names)}


def taken_from(step: str) -> dict[str, str]:
    """The columns that one artifact gives as they are, each with its name there."""
    own = [column for column in COLUMNS if column.step == step and not column.is_text]
    return {column.name: column.source or column.name for column in own}

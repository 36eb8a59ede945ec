"""Section: how the feature's effect is spread over the vocabulary."""

from __future__ import annotations

from dashboard import figures
from dashboard.address import Address
from dashboard.components.data_table import histogram_table
from dashboard.components.graphs import graph
from dashboard.queries import Queries
from dashboard.sections.section import Filling, Section


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """The histogram of its logit effects."""
    found = queries.logit_histogram(feature)
    drawn = graph("logit-figure", figures.logit_histogram(found), figures.summary(found, "tokens"))
    return Filling([drawn, histogram_table(found, "Logit effect", "Tokens")])


SECTION = Section(
    anchor="logits",
    title="Effect on the whole vocabulary",
    place="left",
    steps=("logit_stats",),
    explanation="The direct logit effect on every token, counted in equal bins. Skewness and excess "
    "kurtosis of these values are among the statistics: E[((x - mean) / std)³] and E[((x - mean) / std)⁴] "
    "- 3.",
    layout=layout,
    short="Vocabulary",
)

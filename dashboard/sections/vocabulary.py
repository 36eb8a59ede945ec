"""Section: how the feature's effect is spread over the vocabulary, and all of it as a file."""

from __future__ import annotations

from dash import Dash, html
from flask import Response

from dashboard import figures
from dashboard.address import Address, feature_number
from dashboard.components.data_table import histogram_table
from dashboard.components.graphs import graph
from dashboard.downloads import Attachment, attached, table_file
from dashboard.queries import Queries
from dashboard.questions.token_effects import all_effects
from dashboard.sections.section import Filling, Section

FILE = "effects.csv"


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """The histogram of its logit effects."""
    found = queries.logit_histogram(feature)
    drawn = graph("logit-figure", figures.logit_histogram(found), figures.summary(found, "tokens"))
    return Filling([drawn, histogram_table(found, "Logit effect", "Tokens")], _whole(queries, feature))


def _whole(queries: Queries, feature: int) -> html.A:
    """A link to all values; the browser keeps what it leads to."""
    href = queries.href(f"/feature/{feature}/{FILE}")
    return html.A("CSV", href=href, target="_top", className="dim", title="Effect and rank of every token")


def download(queries: Queries, number: str) -> Response:
    """Effect and rank of every token as a file; one sentence where there is no such feature."""

    def made() -> Attachment:
        feature = feature_number(number, queries.d_sae())
        name = f"{queries.model_type.name}-{feature}-{FILE.removesuffix('.csv')}"
        return table_file(all_effects(queries, feature), name, "csv")

    return attached(made, refusal=404)


def register(app: Dash, queries: Queries) -> None:
    """The file."""
    app.server.add_url_rule(f"/feature/<number>/{FILE}", FILE, lambda number: download(queries, number))


SECTION = Section(
    anchor="logits",
    title="Effect on the whole vocabulary",
    place="left",
    steps=("logit_stats",),
    explanation="The direct logit effect on every token, counted in equal bins. Skewness and excess "
    "kurtosis of these values are among the statistics: E[((x - mean) / std)³] and E[((x - mean) / std)⁴] "
    "- 3. CSV gives every token with its effect, in logits per unit of activation, and its rank.",
    layout=layout,
    register=register,
    short="Vocabulary",
)

"""Section: the tokens typical of the surroundings of where the feature fires."""

from __future__ import annotations

from dashboard import formats
from dashboard.address import Address
from dashboard.components.panels import empty
from dashboard.components.tokens import token_table
from dashboard.queries import Queries
from dashboard.sections.activations import SILENT_SENTENCE
from dashboard.sections.section import Filling, Section


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """Its tokens by TF-IDF."""
    table = queries.rows_of("tfidf", feature)
    if table.is_empty():
        return Filling(empty(SILENT_SENTENCE))
    shares = [formats.share(v) for v in table["tf"]]
    scores = [formats.decimal(v) for v in table["tfidf"]]
    headings = ["Token", "Share of windows", "TF-IDF"]
    tokens = dict(zip(table["token_id"], table["token"], strict=True))
    return Filling(token_table(queries, tokens, [shares, scores], headings, "TF-IDF tokens"))


SECTION = Section(
    anchor="tfidf",
    title="Typical tokens around it",
    place="left",
    steps=("tfidf",),
    explanation="TF-IDF over windows of 5 tokens each side of active rows: tf · ln((N+1)/(df+1)), with tf "
    "the share of the windows' tokens, df the examples that hold the token, N all examples.",
    layout=layout,
    short="Surroundings",
)

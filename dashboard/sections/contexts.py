"""Section: what the feature fires on: tokens, pairs and triples that end where it does."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dashboard import formats
from dashboard.address import Address
from dashboard.components.elements import Element, element, table
from dashboard.components.panels import empty
from dashboard.components.tokens import phrase
from dashboard.queries import Queries
from dashboard.sections.activations import SILENT_SENTENCE
from dashboard.sections.section import Filling, Section

GRAM_NAMES = {1: "Tokens", 2: "Pairs", 3: "Triples"}
CONTEXTS_SHOWN = 10


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """One table a length."""
    found = queries.rows_of("token_contexts", feature)
    if found.is_empty():
        return Filling(empty(SILENT_SENTENCE))
    lengths = sorted(found["n"].unique().to_list())
    grams = [_contexts(queries, n, found.filter(n=n).head(CONTEXTS_SHOWN)) for n in lengths]
    return Filling(html.Div(grams, className="grams"))


def _contexts(queries: Queries, n: int, found: pl.DataFrame) -> Element:
    tokens = queries.vocabulary()
    rows: list[list[Any]] = [
        [
            phrase(tokens[i] for i in ngram),
            element("Span", formats.count(count), title=f"mean activation {formats.decimal(mean)}"),
            formats.share(share),
            formats.decimal(mean),
        ]
        for ngram, count, share, mean in found.select("ngram", "count", "share", "mean_act").iter_rows()
    ]
    name = GRAM_NAMES.get(n, f"{n}-grams")
    return table([name, "Active", "Share", "Mean"], rows, f"{name} on which it fires")


SECTION = Section(
    anchor="contexts",
    title="Fires on",
    place="right",
    steps=("token_contexts",),
    explanation="N-grams that end at the active token. Active: their occurrences on which the feature "
    "fires; share = active / all their occurrences in the corpus; mean: of the activations on active "
    "ones (a narrow window shows it when the number of active ones is hovered).",
    layout=layout,
)

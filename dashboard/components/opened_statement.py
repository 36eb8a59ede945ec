"""One opened statement: its text, its metadata, what is near to it, and its strongest features."""

from __future__ import annotations

from typing import Any

import numpy as np
from dash import dcc, html

from dashboard import formats
from dashboard.address import with_parameters
from dashboard.components.browser import data_of
from dashboard.components.elements import Element, element, table
from dashboard.components.facts import Fact, listed
from dashboard.components.panels import empty, panel
from dashboard.components.tokens import feature_chip
from dashboard.embedded import OpenedSet
from dashboard.queries import Queries
from dashboard.questions.passages import LONGEST_TEXT, named
from dashboard.questions.statement_features import strongest
from dashboard.questions.statements import nearest, same_text
from dashboard.token_view import visible
from precompute.errors import LightwellError

LONGEST_SHOWN = 6000
"""Characters of an opened statement."""
LONGEST_BRIEF = 200
"""Characters of a statement in a list."""
MOST_ALIKE = 8
"""Other rows with the same text that are linked."""


def statement_panel(queries: Queries, opened: OpenedSet, row: int | None) -> Any:
    """The opened statement: its text, its metadata, what is near to it."""
    if row is None:
        return empty("No statement is open: click a point of the map or a row of the table")
    found = opened.embedded.rows([row]).row(0, named=True)
    text = found.pop("text")
    cluster = int(opened.points["cluster"][row])
    names = dict(opened.clusters.select("cluster", "named").iter_rows())
    return [
        html.P(
            as_written(text),
            className="statement-text",
            dir="auto",
        ),
        listed(_facts(found, names.get(cluster), opened, row)),
        _prompt_link(queries, text),
        html.H3("Nearest statements", className="sub"),
        _nearest(queries, opened, row),
    ]


def as_written(text: str) -> str:
    """A text with its lines, and what is invisible in them spelled out."""
    lines = text[:LONGEST_SHOWN].split("\n")
    more = len(text) - LONGEST_SHOWN
    cut = f"\n… and {more:,} more characters" if more > 0 else ""
    # An empty line is seen as one.
    shown = "\n".join(line and visible(line, keep_spaces=True, longest=LONGEST_SHOWN) for line in lines)
    return shown + cut if text.strip() else "(an empty text)"


def _facts(found: dict[str, Any], cluster: str | None, opened: OpenedSet, row: int) -> list[Fact]:
    facts = [Fact("row", f"{row:,}")]
    for name, value in found.items():
        if value is not None and name not in ("row", "text_id", "duplicate_of"):
            facts.append(Fact(visible(name, keep_spaces=True), visible(str(value), keep_spaces=True)))
    facts.append(Fact("cluster", visible(cluster, keep_spaces=True) if cluster else "none"))
    alike = same_text(opened, row)
    if alike:
        more = f" and {len(alike) - MOST_ALIKE:,} more" if len(alike) > MOST_ALIKE else ""
        facts.append(Fact("same text in rows", ", ".join(map(str, alike[:MOST_ALIKE])) + more))
    return facts


def _prompt_link(queries: Queries, text: str) -> Any:
    if not text.strip() or len(text) > min(LONGEST_TEXT, 1500):
        return None
    link = dcc.Link(
        "Read it on the Prompt page", href=queries.href(with_parameters("/prompt", {"text": text}))
    )
    return html.P(link, className="caption")


def _nearest(queries: Queries, opened: OpenedSet, row: int) -> Element:
    near = nearest(opened, row)
    lines = [
        [row_link(queries, opened, other), formats.decimal(cosine), brief(text)]
        for other, cosine, text in zip(near.rows, near.cosines, near.texts, strict=True)
    ]
    if not lines:
        return empty("The set has no other text")
    return html.Div(
        table(["Row", "Cosine", "Statement"], lines, "Nearest statements", kind="near-table"),
        className="table-scroll tall",
        tabIndex=0,
    )


def row_link(queries: Queries, opened: OpenedSet, row: int) -> Element:
    """Opens a statement, on this page."""
    name = opened.name
    path = with_parameters("/embeddings", {"model": name.model, "size": name.size, "row": str(row)})
    return element("A", f"{row}", href=queries.href(path), className="statement-link", **data_of("row", row))


def brief(text: str) -> str:
    """A statement in one line."""
    line = " ".join(text.split())
    cut = "…" if len(line) > LONGEST_BRIEF else ""
    shown = visible(line[:LONGEST_BRIEF], keep_spaces=True, longest=LONGEST_BRIEF)
    return shown + cut if line else "(an empty text)"


def strongest_panel(queries: Queries, opened: OpenedSet, row: int | None) -> Any:
    """The features that fire strongest on the opened statement."""
    if row is None:
        return None
    try:
        found = strongest(queries, opened, row)
    except LightwellError as error:
        return empty(f"Its features are not known: {error}")
    if not found.features:
        return empty("No feature fires on it")
    names = named(queries, np.asarray(found.features))
    chips = [
        feature_chip(queries, feature, formats.decimal(act), names.get(feature, f"Feature {feature}"))
        for feature, act in zip(found.features, found.maxima, strict=True)
    ]
    whence = "from the activation store" if found.from_store else "read by the model now"
    said = f"Greatest activation on its tokens, {whence}; {found.n_firing:,} features fire in all."
    return [html.Div(chips, className="chips"), html.P(said, className="caption")]


def statement_frame(queries: Queries, opened: OpenedSet, row: int | None) -> Any:
    """The opened statement, and its features, which are looked up once the page is there."""
    waiting = None if row is None else html.P("Looking up its features …", className="caption")
    return panel(
        "Statement",
        [
            html.Div(statement_panel(queries, opened, row), id="emb-statement"),
            html.Div(
                [html.H3("Strongest SAE features", className="sub"), html.Div(waiting, id="emb-strongest")],
                id="emb-strongest-part",
                hidden=row is None,
            ),
        ],
        anchor="emb-statement-panel",
    )

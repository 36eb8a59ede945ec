"""The review queue: features without a label in a chosen order, and the way to the first of them."""

from __future__ import annotations

import secrets
from typing import Any

import dash_mantine_components as dmc
import polars as pl
from dash import Dash, Input, Output, dcc, html

from dashboard import formats
from dashboard.address import AddressError, feature_path
from dashboard.components.browser import in_browser, spoken
from dashboard.components.panels import empty, filled, panel
from dashboard.labelling import review_queue
from dashboard.queries import Queries

SHOWN = 6
"""Features of the queue that are shown beforehand."""
SEEDS = 1_000_000
EXPLANATION = (
    "Features that fire and have no label, in the order that you choose. On a feature's page, “Next without "
    "a label” (key n) goes on in the same order; what others label meanwhile is passed over."
)


def review_panel(queries: Queries, queue: str) -> Any:
    """The choice of an order, and the first features in it."""
    chosen = queue if queue in review_queue.ORDERS else "random"
    orders = [(name, words) for name, (words, _) in review_queue.ORDERS.items()]
    seed = queue if chosen == "random" else f"random:{secrets.randbelow(SEEDS)}"
    choice = dmc.Select(
        id="queue",
        data=[{"value": name, "label": words} for name, words in [*orders, (seed, "Random")]],
        value=seed if chosen == "random" else queue,
        allowDeselect=False,
        size="xs",
        w=230,
        **spoken("Order of the review queue"),
    )
    body = html.Div(filled(queries, "feature_stats", lambda: waiting(queries, queue)), id="queue-waiting")
    return panel("Review", body, controls=choice, explanation=EXPLANATION, anchor="review")


def waiting(queries: Queries, queue: str) -> Any:
    """How many features wait, and the first ones."""
    found = review_queue.unlabelled(queries, queue)
    if not len(found):
        return empty("Every feature that fires has a label")
    first = [int(feature) for feature in found[:SHOWN]]
    start = dcc.Link(
        "Start labelling →",
        href=queries.href(feature_path(first[0], queue=queue)),
        id="queue-start",
        className="small-button strong",
    )
    words = f"{formats.plural(len(found), 'feature')} without a label; first of all:"
    return [html.Div([html.Span(words), start], className="queue-head"), _rows(queries, queue, first)]


def _rows(queries: Queries, queue: str, features: list[int]) -> html.Ul:
    table = queries.feature_table()
    there = {row["feature"]: row for row in table.filter(pl.col("feature").is_in(features)).to_dicts()}
    items = [
        html.Li(
            [
                dcc.Link(f"{feature}", href=queries.href(feature_path(feature, queue=queue))),
                html.Span(
                    [
                        html.Span(token, className="token-chip plain")
                        for token in (there[feature].get("promotes") or "").split("  ")
                        if token
                    ],
                    className="cell-tokens",
                ),
            ]
        )
        for feature in features
    ]
    return html.Ul(items, className="queue-list")


def asked_queue(queries: Queries, value: object) -> str:
    """The queue that an address names, or the usual one; raises AddressError where its column is missing."""
    queue = review_queue.DEFAULT if value is None else review_queue.known_queue(value)
    column = review_queue.ORDERS.get(queue, ("", "feature"))[1]
    if column not in queries.feature_table().columns:
        raise AddressError(f"the queue {queue} without {column}", "a computed column", "choose another order")
    return queue


def register(app: Dash, queries: Queries) -> None:
    """Another order, which goes into the address."""

    @app.callback(Output("queue-waiting", "children"), Input("queue", "value"), prevent_initial_call=True)
    def reorder(queue: object) -> Any:
        chosen = asked_queue(queries, queue)
        return filled(queries, "feature_stats", lambda: waiting(queries, chosen))

    in_browser(app, "rememberQueue", Input("queue", "value"))

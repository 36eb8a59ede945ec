"""Best-of-K sweeps of text autoencoders: curves with intervals, and every activation's explanations."""

from __future__ import annotations

from dash import Dash, html

from dashboard.address import Address, one_of
from dashboard.components import sweep_panels
from dashboard.components.panels import empty
from dashboard.components.sweep_panels import Links, Listed
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions import sweeps
from precompute.errors import ArtifactMissingError

PARAMETERS = ("runs", "score", "run", "order", "row")


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page; every choice on it is a link."""
    given = asked.parameters
    head, start = html.H1("Best-of-K sweeps"), sweep_panels.starting(queries)
    try:
        runs = sweeps.chosen(queries, given.get("runs"))
    except ArtifactMissingError as error:
        sentence, _, command = str(error).partition("; run: ")
        return html.Div([head, empty(sentence, command), start])
    score = one_of(given.get("score"), tuple(sweeps.SCORES), "score")
    order, links = sweeps.order_of(given.get("order")), Links(queries, given)
    run = sweeps.opened(queries, given.get("run", runs[0].name))
    scores = sweeps.row_scores(queries, run)
    first = (sweeps.ordered(scores, order) or [0])[0]
    row = sweeps.row_of(queries, run, given.get("row"), first)
    below = [
        sweep_panels.rows_panel(links, Listed(runs, run, scores, order, row.row)),
        sweep_panels.explanations(run, row),
    ]
    return html.Div(
        [
            head,
            html.P(sweep_panels.about(runs), className="caption set-facts"),
            sweep_panels.choices(queries, links, runs, score),
            sweep_panels.curves(runs, score),
            html.Div(below, className="sweep-columns"),
            start,
        ]
    )


def register(app: Dash, queries: Queries) -> None:
    """Nothing: all choices are links."""


PAGE = Page(
    "/sweeps",
    "Sweeps",
    "Best-of-K sweeps: what the best of K explanations recovers of an activation, with every explanation.",
    layout,
    register,
    parameters=frozenset(PARAMETERS),
)

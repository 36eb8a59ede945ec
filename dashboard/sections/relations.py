"""Section: features that point the same way, and features that fire on the same rows."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html

from dashboard import formats
from dashboard.address import Address, one_of
from dashboard.components.browser import in_browser
from dashboard.components.choices import choice
from dashboard.components.elements import element, link, still, table
from dashboard.components.panels import empty, filled
from dashboard.components.tokens import feature_chip
from dashboard.queries import Queries
from dashboard.questions.clusters import cluster_members
from dashboard.questions.together import ROWS_FOR_LIFT, Together, together
from dashboard.sections.section import Filling, Section

CHIPS_SHOWN = 12
"""Members of the cluster that are shown; the table of features has all of them."""
LISTED = "listed"
ORDERS = (
    (LISTED, "As computed"),
    ("jaccard", "All by Jaccard"),
    ("pearson", "Pearson"),
    ("lift", "Lift"),
    ("rows", "Rows"),
)
"""The artifact's list, or all features counted now over all rows, by a measure."""
HEADINGS = ["Feature", "Both active (rows)", "Jaccard", "Pearson", "Lift", "Side by side"]


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """Neighbours as chips, co-activations as a table, the cluster by its nearest members."""
    order = order_of(asked.parameters.get("together"))
    listed = _listed(queries, feature) if order == LISTED else html.P("Counting…", className="dim")
    return Filling(
        [
            # Only where a list is to be counted is there something that waits for the page to be drawn.
            *([dcc.Store(id="together-asked", data=order)] if order != LISTED else []),
            html.H3("Nearest decoder directions (cosine)", className="sub"),
            filled(queries, "neighbors", lambda: _nearest(queries, feature)),
            html.Div(
                [
                    html.H3("Fires on the same rows", className="sub"),
                    choice("together", ORDERS, order, "Features that fire on the same rows"),
                ],
                className="sub-choice",
            ),
            html.Div(listed, id="coactivations", className="pairs-place"),
            html.H3("Cluster", className="sub"),
            filled(queries, "feature_map", lambda: _cluster(queries, feature)),
        ]
    )


def _nearest(queries: Queries, feature: int) -> Any:
    found = queries.rows_of("neighbors", feature)
    if found.is_empty():
        return empty("No neighbour is listed for this feature")
    rows = zip(found["neighbor"], found["cosine"], strict=True)
    chips = [feature_chip(queries, other, f"{cosine:.2f}", f"cosine {cosine:.4f}") for other, cosine in rows]
    return still(element("Div", chips, className="chips", id="neighbors"))


def order_of(value: object) -> str:
    """Which features are listed; raises AddressError."""
    return one_of(value, tuple(dict(ORDERS)), "together")


def same_rows(queries: Queries, feature: int, order: str) -> Any:
    """Features that fire on the same rows, as the artifact lists them or as they are counted now."""
    if order == LISTED:
        return _listed(queries, feature)
    return filled(queries, "transpose", lambda: _counted_now(queries, feature, order))


def _listed(queries: Queries, feature: int) -> Any:
    def listed() -> list[Any]:
        found = queries.rows_of("coactivations", feature)
        if found.is_empty():
            return [empty("No other feature fires on the same rows")]
        return _pairs(queries, found.to_dicts(), _counted(queries, found))

    return filled(queries, "coactivations", listed)


def _counted_now(queries: Queries, feature: int, order: str) -> list[Any]:
    found = together(queries, feature)
    rows = [_row_of(found, place) for place in found.places(order).tolist()]
    if not rows:
        few = order == "lift" and len(found.others)
        seldom = f"No other feature fires on {ROWS_FOR_LIFT} or more of the same rows"
        return [empty(seldom if few else "No other feature fires on the same rows")]
    return _pairs(queries, rows, _all_counted(found, order, len(rows)))


def _row_of(found: Together, place: int) -> dict[str, Any]:
    return {
        "other": int(found.others[place]),
        "n_both": int(found.n_both[place]),
        "jaccard": float(found.jaccard[place]),
        "pearson": float(found.pearson[place]),
        "lift": float(found.lift[place]),
    }


def _all_counted(found: Together, order: str, n_shown: int) -> str:
    """What the numbers come from, and how many features are not shown."""
    others = formats.plural(len(found.others), "other feature")
    shown = "" if n_shown == len(found.others) else f"; the first {n_shown} are shown"
    common = f" of those on {ROWS_FOR_LIFT} or more common rows" if order == "lift" and shown else ""
    return (
        f"Counted now over all {found.n_rows:,} rows: {others} on the {found.n_active:,} on which this one "
        f"fires{shown}{common}."
    )


def _pairs(queries: Queries, rows: list[dict[str, Any]], caption: str) -> list[Any]:
    listed = table(HEADINGS, [_pair(queries, row) for row in rows], "Co-activating features", kind="pairs")
    return [
        html.Div(listed, className="table-scroll", tabIndex=0),
        html.P(caption, className="caption"),
    ]


def _cluster(queries: Queries, feature: int) -> Any:
    found = cluster_members(queries, feature)
    if found is None:
        return empty("This feature belongs to no cluster: its direction has no dense surroundings")
    chips = [
        feature_chip(queries, other, f"{distance:.2f}", f"distance on the map: {distance:.4f}")
        for other, distance in zip(found.members[:CHIPS_SHOWN], found.distances, strict=False)
    ]
    table = queries.href(f"/features?cluster=startsWith:{found.cluster}%20%C2%B7")
    name = f"cluster {found.cluster}" + (f": {found.label}" if found.label else "")
    words = [
        f"{formats.plural(len(found.members) + 1, 'feature')} in ",
        link(name, table),
        "; nearest on the map:",
    ]
    parts = [element("P", words, className="caption"), element("Div", chips, className="chips")]
    return still(element("Div", parts, id="cluster"))


def _pair(queries: Queries, row: dict[str, Any]) -> list[Any]:
    error = row.get("jaccard_se")
    jaccard = formats.decimal(row["jaccard"]) + (f" ± {formats.decimal(error, 2)}" if error else "")
    sign = element(
        "Button",
        "scatter",
        className="sets-with",
        **{"data-with": str(row["other"]), "title": "Draw both below"},
    )
    return [
        feature_chip(queries, row["other"], "", "Open this feature"),
        formats.count(row["n_both"]),
        jaccard,
        formats.decimal(row["pearson"]),
        formats.decimal(row["lift"]),
        sign,
    ]


def _counted(queries: Queries, found: pl.DataFrame) -> str:
    """How many rows the numbers come from."""
    if "n_rows_used" not in found.columns:
        return "Counted over the rows of the store."
    used, n_rows = int(found["n_rows_used"][0]), queries.store().n_rows
    if used >= n_rows:
        return f"Counted over all {n_rows:,} rows."
    return f"Estimated from {used:,} of {n_rows:,} rows, drawn by seed; ± is one standard error."


def register(app: Dash, queries: Queries) -> None:
    """Other lists; what is counted over all rows waits for the page to be drawn."""

    def listed(order: object, number: object) -> Any:
        return same_rows(queries, queries.known_feature(number), order_of(order))

    shown, feature = Output("coactivations", "children"), State("feature-number", "data")
    app.callback(shown, Input("together", "value"), feature, prevent_initial_call=True)(listed)
    again = Output("coactivations", "children", allow_duplicate=True)
    app.callback(again, Input("together-asked", "data"), feature, prevent_initial_call="initial_duplicate")(
        listed
    )
    in_browser(app, "remember_together", Input("together", "value"))


SECTION = Section(
    anchor="relations",
    title="Related features",
    place="left",
    steps=("neighbors", "coactivations", "feature_map"),
    explanation="Cosine of the decoder directions, over all features. Over the rows: Jaccard = n_both / "
    "n_either; "
    "Pearson, the correlation of the activations, zeros included; lift = n_both · n_rows / (n_a · n_b),"
    " 1 where they are independent. As computed: the features of greatest Jaccard, for which large "
    "stores are sampled, with the standard error √(J (1 - J) / n_either). The other lists count every "
    "feature over all rows, now; that by lift leaves out pairs with fewer than 5 common rows. Clusters "
    "are dense groups of decoder directions; the distance in chips is that of the two-dimensional map.",
    layout=layout,
    register=register,
    short="Relations",
    parameters=("together",),
)

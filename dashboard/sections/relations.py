"""Section: features that point the same way, and features that fire on the same rows."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dashboard import formats
from dashboard.address import Address
from dashboard.components.elements import element, link, still, table
from dashboard.components.panels import empty, filled
from dashboard.components.tokens import feature_chip
from dashboard.queries import Queries
from dashboard.questions.clusters import cluster_members
from dashboard.sections.section import Filling, Section

CHIPS_SHOWN = 12
"""Members of the cluster that are shown; the table of features has all of them."""


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """Neighbours as chips, co-activations as a table, the cluster by its nearest members."""
    return Filling(
        [
            html.H3("Nearest decoder directions (cosine)", className="sub"),
            filled(queries, "neighbors", lambda: _nearest(queries, feature)),
            html.H3("Fires on the same rows", className="sub"),
            filled(queries, "coactivations", lambda: _together(queries, feature)),
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


def _together(queries: Queries, feature: int) -> Any:
    found = queries.rows_of("coactivations", feature)
    if found.is_empty():
        return empty("No other feature fires on the same rows")
    headings = ["Feature", "Both active (rows)", "Jaccard", "Pearson", "Lift", "Side by side"]
    rows = [_pair(queries, row) for row in found.iter_rows(named=True)]
    listed = html.Div(
        table(headings, rows, "Co-activating features", kind="pairs"), className="table-scroll", tabIndex=0
    )
    return html.Div([listed, html.P(_counted(queries, found), className="caption")], id="coactivations")


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


SECTION = Section(
    anchor="relations",
    title="Related features",
    place="left",
    steps=("neighbors", "coactivations", "feature_map"),
    explanation="Cosine of the decoder directions, over all features. Over the rows: Jaccard = n_both / "
    "n_either; Pearson, the correlation of the activations, zeros included; lift = n_both · n_rows / (n_a "
    "· n_b), 1 where they are independent. Where rows are sampled, the standard error of Jaccard is √(J "
    "(1 - J) / n_either). Clusters are dense groups of decoder directions; the distance in chips is that of "
    "the two-dimensional map.",
    layout=layout,
    short="Relations",
)

"""The map of features: its controls, its figure and the table of what lights up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
import polars as pl
from dash import Patch, dcc, html
from numpy.typing import NDArray

from dashboard import formats, map_figure
from dashboard.components.browser import data_of, spoken
from dashboard.components.choices import choice, feature_field, search_field
from dashboard.components.map_sets import set_field, set_menu
from dashboard.components.sorted_grid import sorted_grid
from dashboard.figures import Figure
from dashboard.grid import Sort
from dashboard.queries import Queries
from dashboard.questions.feature_map import MapView, categories, clusters, lit, map_table, similarity
from dashboard.sorted_rows import GridColumn
from dashboard.token_view import visible

COLUMNS = (
    GridColumn("feature", "Feature", "Number of the SAE's latent, from 0.", 88, "FeatureCell"),
    GridColumn(
        "promotes",
        "Promotes",
        "The three tokens whose logits rise most when the feature fires.",
        200,
        "TokensCell",
        sortable=False,
    ),
    GridColumn(
        "similarity",
        "Cosine",
        "Cosine of its decoder direction with that of the selected feature; empty without one.",
        84,
        formatter="lightwellDecimal",
    ),
    GridColumn("cluster", "Cluster", "Number of its cluster, 0 the largest; -1 is none.", 84),
    GridColumn(
        "frac_active",
        "Share active",
        "Share of all rows on which the feature fires; 0 to 1.",
        92,
        formatter="lightwellDecimal",
    ),
    GridColumn("max", "Max", "Largest activation over all rows.", 80, formatter="lightwellDecimal"),
    GridColumn("x", "x", "Horizontal place on the map.", 86, formatter="lightwellDecimal"),
    GridColumn("y", "y", "Vertical place on the map.", 86, formatter="lightwellDecimal"),
)
"""Columns of the table of what lights up: the data of the figure."""
COLOUR_NAMES = (
    ("cluster", "Cluster"),
    ("frequency", "Frequency"),
    ("category", "Label"),
    ("similarity", "Similarity"),
)
CLUSTERS_LISTED = 200
"""Clusters in the open list; typing finds the others."""
CORNERS = ("x from", "x to", "y from", "y to")


def controls(queries: Queries, view: MapView, area: str) -> html.Div:
    """What is coloured how, and what lights up."""
    colour = choice("map-colour", COLOUR_NAMES, view.colour, "Colour points by")
    d_sae = queries.d_sae()
    words = {"example": "Select feature", "label": "Selected feature"}
    feature = feature_field("map-feature", view.feature, d_sae, **words, width=130)
    search = search_field(
        "map-search",
        view.search,
        "Search tokens, clusters or a number",
        "Search: what is found lights up",
        size="xs",
        width=250,
    )
    clear = html.Button("Clear", id="map-clear", className="bar-button", title="Light up everything")
    chosen_area = dcc.Store(id="map-area", data=area)
    sets = [set_field(queries, view), set_menu(queries)]
    listed = clusters(queries).select("cluster", "named", "n_features").iter_rows()
    known = cluster_field("map-cluster", listed, view.cluster, 240)
    parts = [colour, feature, search, known, *sets, clear, chosen_area]
    return html.Div(parts, className="map-bar")


def cluster_field(name: str, found: Iterable[tuple[Any, ...]], chosen: int | None, width: int) -> dmc.Select:
    """A field to choose a cluster that lights up, from numbers, names and sizes."""
    data = [
        {"value": str(cluster), "label": f"{visible(named, keep_spaces=True)} ({n:,})"}
        for cluster, named, n in found
    ]
    return dmc.Select(
        id=name,
        data=data,
        value=None if chosen is None else str(chosen),
        searchable=True,
        clearable=True,
        clearButtonProps=spoken("Choose no cluster"),
        limit=CLUSTERS_LISTED,
        nothingFoundMessage="No cluster has this in its name",
        placeholder="Cluster",
        size="xs",
        w=width,
        **spoken("Cluster that lights up"),
    )


def area_fields(store: str) -> html.Details:
    """An area by numbers, for those who draw none; it goes into a store."""
    fields = [
        dmc.NumberInput(id=f"area-{number}", label=name, size="xs", w=92, hideControls=True, decimalScale=4)
        for number, name in enumerate(CORNERS)
    ]
    button = html.Button("Choose", id="area-choose", className="bar-button")
    return html.Details(
        [html.Summary("Choose an area by numbers"), html.Div([*fields, button], className="area-fields")],
        className="area-by-numbers",
        **data_of("store", store),
    )


def figure_panel(queries: Queries, view: MapView) -> html.Div:
    """The map itself."""
    drawn = figure(queries, view)
    graph = dcc.Graph(
        id="map-figure",
        figure=drawn,
        config=map_figure.MAP_CONFIG,
        style={"height": f"{map_figure.HEIGHT}px"},
        className="graph",
    )
    hint = (
        "Click a point to open its feature; drag to move, scroll to zoom; with the lasso or the box of the "
        "figure's toolbar choose an area."
    )
    return html.Div(
        [
            html.Div(graph, role="group", className="graph-frame", **spoken(words(queries))),
            html.P(hint, className="caption"),
            area_fields("map-area"),
        ],
        className="map-figure-panel",
    )


def words(queries: Queries) -> str:
    """The map in one sentence, for those who do not see it."""
    table = map_table(queries)
    n_none, found = table.filter(pl.col("cluster") < 0).height, clusters(queries)
    largest = f"; the largest has {found['n_features'][0]:,}" if found.height else ""
    return (
        f"Map of {formats.plural(table.height, 'feature')} by decoder direction, in "
        f"{formats.plural(found.height, 'cluster')}{largest}; {n_none:,} in none. "
        "The table beside it lists them with their places."
    )


def figure(queries: Queries, view: MapView) -> Figure:
    """The map at a view."""
    points = placed(queries)
    shown = _places(points, lit(queries, view)) if view.chooses else None
    return map_figure.map_figure(
        points, painted(queries, points, view), shown, _place(points, view.feature), view.area
    )


def change(queries: Queries, view: MapView) -> Any:
    """What a new view changes in the figure; places of points stay in the browser."""
    points = placed(queries)
    shown = _places(points, lit(queries, view)) if view.chooses else None
    paint = painted(queries, points, view)
    new = map_figure.traces(points, paint, shown, _place(points, view.feature), view.area)
    return repainted(new)


def repainted(new: list[dict[str, Any]]) -> Patch:
    """What new traces change in a map whose points stay where they are."""
    patch = Patch()
    for name in ("marker", "selected", "unselected"):
        patch["data"][map_figure.ALL][name] = new[map_figure.ALL][name]
    for trace in (map_figure.LIT, map_figure.SELECTED, map_figure.AREA):
        patch["data"][trace] = new[trace]
    patch["layout"]["selections"] = []
    return patch


def placed(queries: Queries) -> pl.DataFrame:
    """The features that have a place on the map."""
    return map_table(queries).filter(pl.col("x").is_not_null(), pl.col("y").is_not_null())


def painted(queries: Queries, points: pl.DataFrame, view: MapView) -> map_figure.Painted:
    """The points in the colours of a view."""
    if view.colour == "frequency" and "frac_active" in points.columns:
        return map_figure.by_frequency(points)
    if view.colour == "similarity" and view.feature is not None:
        return map_figure.by_similarity(points, similarity(queries, view.feature), view.feature)
    if view.colour == "category":
        return map_figure.by_category(points, categories(queries))
    return map_figure.by_cluster(points) if view.colour == "cluster" else map_figure.unpainted(points)


def _places(points: pl.DataFrame, chosen: pl.DataFrame) -> NDArray[np.int64]:
    """Which of the points are among the chosen features; both are sorted by feature."""
    return np.flatnonzero(np.isin(points["feature"].to_numpy(), chosen["feature"].to_numpy()))


def _place(points: pl.DataFrame, feature: int | None) -> int | None:
    found = np.flatnonzero(points["feature"].to_numpy() == (-1 if feature is None else feature))
    return int(found[0]) if len(found) else None


def summary(queries: Queries, view: MapView) -> str:
    """How much lights up, and what to do where that is nothing or the colours say nothing."""
    total, n = map_table(queries).height, lit(queries, view).height
    said = f"{n:,} of {formats.plural(total, 'feature')} light up" if view.chooses else f"{total:,} features"
    if view.chooses and not n:
        said = "No feature fits; search for less, or clear what is chosen"
    if view.colour == "similarity" and view.feature is None:
        return f"{said}. Select a feature to colour by similarity to it."
    if view.colour == "category" and not categories(queries):
        return f"{said}. No feature has a label yet; write one on a feature's page."
    if view.colour == "frequency" and "frac_active" not in map_table(queries).columns:
        return f"{said}. Frequencies are not computed; run {queries.command('feature_stats')}."
    return said


def order(view: MapView, sorts: Sequence[Sort]) -> Sequence[Sort]:
    """The order of the table: as asked, or the most similar first."""
    return sorts or ((Sort("similarity", descending=True),) if view.feature is not None else ())


def table_panel(sorts: Sequence[Sort]) -> html.Div:
    """What lights up, as a table."""
    grid = sorted_grid("map-grid", COLUMNS, sorts, "Features that light up on the map", row_id="feature")
    return html.Div(grid, className="map-table-panel")

"""The map of statements: what is chosen, the figure, its legend, and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import Patch, dcc, html

from dashboard import formats, map_figure, statement_figure
from dashboard.components import statement_colours
from dashboard.components.browser import spoken
from dashboard.components.choices import feature_field, search_field
from dashboard.components.map_panels import area_fields, cluster_field, repainted
from dashboard.components.panels import empty
from dashboard.components.statement_colours import colour_words, painted
from dashboard.embedded import OpenedSet
from dashboard.queries import Queries
from dashboard.questions.statement_features import reader, texts_read, version
from dashboard.questions.statements import StatementView, colours, lit
from dashboard.raster import Window
from dashboard.statement_figure import MOST_POINTS, Shown
from dashboard.tables import optional
from precompute.corpus.subsets import SIZES
from precompute.embeddings.named import SetName
from precompute.errors import LightwellError


def tabs(queries: Queries, path: str) -> html.Nav:
    """The two pages about vectors of texts."""
    links = [("/embeddings", "Map"), ("/density", "Density weights")]
    shown = [
        dcc.Link(words, href=queries.href(href), className="here" if href == path else "")
        for href, words in links
    ]
    return html.Nav(shown, className="navigation", **spoken("Vectors of texts"))


def row_store(row: int | None) -> dcc.Store:
    """The opened statement; empty for none, since a store without data would tell its callbacks at once."""
    return dcc.Store(id="emb-row", data="" if row is None else row)


def said_of(build: Callable[[], Any]) -> Any:
    """What `build` makes, or the sentence that says why it cannot."""
    try:
        return build()
    except LightwellError as error:
        sentence, _, command = str(error).partition("; run: ")
        return empty(sentence, command or None)


# What is chosen.


def set_fields(queries: Queries, name: SetName) -> html.Div:
    """Model and size; another one opens another page."""
    models = [{"value": model, "label": model} for model in queries.embedded.models]
    there = queries.embedded.sizes_there(name.model)
    sizes = [
        {"value": size, "label": _size_words(size) + ("" if size in there else ", not computed")}
        for size in SIZES
    ]
    model = dmc.Select(
        id="emb-model", data=models, value=name.model, allowDeselect=False, size="xs", w=150,
        **spoken("Embedding model"),
    )  # fmt: skip
    size = dmc.Select(
        id="emb-size", data=sizes, value=name.size, allowDeselect=False, size="xs", w=210,
        **spoken("Size of the dataset"),
    )  # fmt: skip
    chosen = dcc.Store(id="emb-set", data={"model": name.model, "size": name.size})
    return html.Div([model, size, chosen], className="map-set-fields")


def _size_words(size: str) -> str:
    n = SIZES[size]
    return f"{size} (all)" if n is None else f"{size} ({n:,})"


def controls(queries: Queries, opened: OpenedSet, view: StatementView, area: str) -> html.Div:
    """What is coloured how, and what lights up."""
    colour = dmc.Select(
        id="emb-colour",
        data=[{"value": key, "label": colour_words(key)} for key in colours(opened)],
        value=view.colour,
        allowDeselect=False,
        searchable=True,
        size="xs",
        w=160,
        leftSection=html.Span("●", className="colour-sign"),
        **spoken("Colour points by"),
    )
    words = {"example": "Feature", "label": "SAE feature whose activation colours the points"}
    feature = feature_field("emb-feature", view.feature, optional(queries.d_sae), **words, width=100)
    contained, meant = "Search for statements that contain a text", "Search by meaning; Enter searches"
    clusters = opened.clusters.select("cluster", "named", "n")
    parts = [
        colour,
        feature,
        search_field("emb-search", view.search, "Search: contains", contained, size="xs", width=190),
        search_field(
            "emb-meaning", view.meaning, "Search by meaning", meant, size="xs", width=190, by_enter=True
        ),
        cluster_field("emb-cluster", clusters.iter_rows(), view.cluster, 220),
        html.Button("Clear", id="emb-clear", className="bar-button", title="Light up everything"),
        dcc.Store(id="emb-area", data=area),
        dcc.Store(id="emb-meaning-address", data=view.meaning),
        dcc.Store(id="emb-asked"),
        dcc.Store(id="emb-window"),
    ]
    return html.Div(parts, className="map-bar")


# The figure.


def shown(queries: Queries, opened: OpenedSet, view: StatementView, row: int | None) -> Shown:
    """What is drawn at a view."""
    paint = painted(queries, opened, view)
    colours_of_points = None
    if opened.n > MOST_POINTS:
        question = ("statement rgb", opened.name, view.colour, view.feature)
        colours_of_points = queries.tables.memo.get(
            question, version(queries, opened), lambda: statement_figure.rgb(paint.painted)
        )
    return Shown(opened.points, paint, colours_of_points, lit(queries, opened, view), row, view.area)


def figure_panel(queries: Queries, opened: OpenedSet, view: StatementView, row: int | None) -> html.Div:
    """The map itself, with its legend."""
    drawn = shown(queries, opened, view, row)
    graph = dcc.Graph(
        id="emb-figure",
        figure=statement_figure.figure(drawn),
        config=map_figure.MAP_CONFIG,
        clear_on_unhover=True,
        style={"height": f"{map_figure.HEIGHT}px"},
        className="graph",
    )
    hint = (
        "Click a point to open its statement; drag to move, scroll to zoom; with the lasso or the box of the "
        "figure's toolbar choose an area."
    )
    more = (
        f" Above {MOST_POINTS:,} statements the map shows their density; zoom in until it shows points."
        if drawn.is_image
        else ""
    )
    return html.Div(
        [
            html.Div(graph, role="group", className="graph-frame", **spoken(words(opened))),
            html.Div(id="emb-hover", className="statement-hover", hidden=True),
            html.Ul(statement_colours.legend(drawn.paint), id="emb-legend", className="map-legend"),
            html.P(hint + more, className="caption"),
            area_fields("emb-area"),
        ],
        className="map-figure-panel",
    )


def words(opened: OpenedSet) -> str:
    """The map in one sentence, for those who do not see it."""
    found = opened.clusters
    n_none = opened.points.filter(cluster=-1).height
    largest = f"; the largest has {found['n'][0]:,}" if found.height else ""
    return (
        f"Map of {formats.plural(opened.n, 'statement')} by meaning, in "
        f"{formats.plural(found.height, 'cluster')}{largest}; {n_none:,} in none. "
        "The table beside it lists them."
    )


def change(
    queries: Queries, opened: OpenedSet, view: StatementView, row: int | None, window: Window | None
) -> Any:
    """What a new view, or another part of it, changes in the figure."""
    drawn = shown(queries, opened, view, row)
    if not drawn.is_image:
        return repainted(statement_figure.traces(drawn))
    seen = window or statement_figure.whole(*drawn.places)
    patch = Patch()
    for place, trace in enumerate(statement_figure.at_window(drawn, seen)):
        patch["data"][place] = trace
    patch["layout"]["images"] = [statement_figure.drawn(drawn, seen)]
    patch["layout"]["selections"] = []
    return patch


def summary(queries: Queries, opened: OpenedSet, view: StatementView) -> str:
    """How much lights up, and what to do where that is nothing or the colours say nothing."""
    rows = lit(queries, opened, view)
    total = formats.plural(opened.n, "statement")
    said = total if rows is None else f"{len(rows):,} of {total} light up"
    if rows is not None and not len(rows):
        said = "No statement fits; search for less, or clear what is chosen"
    if view.colour == "feature":
        said += f". {_feature_words(queries, opened, view)}"
    return said


def _feature_words(queries: Queries, opened: OpenedSet, view: StatementView) -> str:
    if view.feature is None:
        return "Give the number of a feature to colour by its activation."
    try:
        n_read = int(texts_read(queries, opened).sum())
    except LightwellError as error:
        return f"Activations are not there: {error}."
    name = queries.model_type.name
    if reader(queries, opened) is not queries:
        return f"Activations of {name} are known on {n_read:,} of them."
    if not n_read:
        return f"The corpus of {name} holds none of these texts, so no activation is known."
    return f"{n_read:,} of them are texts of the corpus of {name}, so that activations are known."

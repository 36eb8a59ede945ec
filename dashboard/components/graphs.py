"""Graphs: a figure in its place, with a sentence for those who do not see it."""

from __future__ import annotations

from dash import dcc, html

from dashboard.components.browser import spoken
from dashboard.figures import CONFIG, Figure


def graph(name: str, figure: Figure, summary: str) -> html.Div:
    """A figure of fixed height, so that nothing moves when it is drawn."""
    height = figure["layout"]["height"]
    drawn = dcc.Graph(
        id=name, figure=figure, config=CONFIG, style={"height": f"{height}px"}, className="graph"
    )
    return html.Div([drawn], role="figure", className="graph-frame", **spoken(summary))

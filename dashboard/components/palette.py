"""The command palette: its button in the header, and the answers to what is typed into it."""

from __future__ import annotations

from dataclasses import asdict

from dash import Dash, html
from flask import Response, jsonify, request

from dashboard.components.browser import spoken
from dashboard.finding import Destination, find
from dashboard.pages.page import Page
from dashboard.queries import Queries
from precompute.errors import LightwellError

PATH = "/find.json"


def palette_button() -> html.Button:
    """Opens the palette, as `/`, Ctrl-K and Cmd-K do; assets/palette.js draws it."""
    words = html.Span("Go to…", className="palette-words")
    keys = html.Span(html.Kbd("/"), className="palette-keys")
    return html.Button(
        [html.Span(className="icon-search"), words, keys],
        id="palette-open",
        className="palette-open",
        title="Go to a feature, token, cluster or page (/ or Ctrl-K)",
        **spoken("Go to a feature, token, cluster or page"),
    )


def register(app: Dash, queries: Queries, pages: tuple[Page, ...]) -> None:
    """The route that the palette asks while one types."""
    listed = [Destination(p.title, p.description, p.path) for p in pages if p.in_navigation]

    def found() -> Response:
        try:
            return jsonify(found=[asdict(f) for f in find(queries, request.args.get("q", ""), listed)])
        except LightwellError as error:
            return jsonify(found=[], message=str(error))

    app.server.add_url_rule(PATH, "find", found)

"""The app: one Dash object over one model type's artifacts."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, html, set_props
from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from dashboard import address, callbacks
from dashboard.components import palette
from dashboard.components.browser import in_browser
from dashboard.components.elements import plain
from dashboard.components.panels import message_page
from dashboard.components.shell import navigation, shell
from dashboard.pages import PAGES, Shown, page_at
from dashboard.place import Place
from dashboard.queries import Queries
from dashboard.service import Service
from dashboard.settings import DashboardSettings
from precompute.errors import LightwellError
from precompute.reading import Artifacts, open_artifacts

ASSETS = Path(__file__).resolve().parent.parent / "assets"
LOG = logging.getLogger(__name__)
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def create_app(
    settings: DashboardSettings,
    artifacts: Artifacts | None = None,
    place: Place | None = None,
    service: Service | None = None,
) -> Dash:
    """A new app over one model type, independent of any other. Raises ConfigError for an unknown one.

    Whoever serves it below `place.base` takes that off the path of each request. Its queries are
    `app.server.config["QUERIES"]`, for whoever wants to warm them up.
    """
    opened = artifacts or open_artifacts(settings.model_type, settings.data_dir, settings.config)
    queries = Queries(opened, settings.command_options, place, settings.author)
    service = service or Service(settings, opened)
    queries.jobs, queries.embedded, queries.embedders = service.jobs, service.embedded, service.embedders
    queries.jobs.know(opened, queries.states)
    app = Dash(
        "dashboard",
        assets_folder=str(ASSETS),
        requests_pathname_prefix=queries.href("/"),
        routes_pathname_prefix="/",
        use_pages=False,
        pages_folder="",
        serve_locally=True,
        index_string=INDEX,
        title="Lightwell",
        update_title="",
        suppress_callback_exceptions=True,
        on_error=_report,
        enable_mcp=False,
        add_log_handler=False,
    )
    app.server.config["QUERIES"] = queries
    app.layout = lambda: shell(queries)
    _register_router(app, queries)
    for page in PAGES:
        page.register(app, queries)
    palette.register(app, queries, PAGES)
    callbacks.register(app, queries, service.jobs, service.manager)
    _add_routes(app.server, queries)
    return app


def _register_router(app: Dash, queries: Queries) -> None:
    @app.callback(
        Output("page", "children"),
        Output("navigation", "children"),
        Output("page-title", "data"),
        Output("notice", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
    )
    def show(pathname: object, search: object) -> tuple[Any, Any, str, None]:
        shown = page_for(queries, pathname, search)
        title = f"{shown.title} · {queries.model_type.name} · Lightwell"
        return plain(shown.content), plain(navigation(queries, shown.path)), title, None

    in_browser(app, "setTitle", Input("page-title", "data"))


def page_for(queries: Queries, pathname: object, search: object) -> Shown:
    """The page at an address, or a page that says what is wrong with the address."""
    try:
        asked = address.parse(pathname, search, queries.place.base)
        return page_at(asked).show(queries, asked)
    except LightwellError as error:
        found, _, command = str(error).partition("; run: ")
        return Shown("", "Nothing to show", _message(queries, found, command))


def _message(queries: Queries, sentence: str, command: str) -> html.Div:
    run = command + queries.options if command else None
    return message_page(queries, "Nothing to show here", f"{sentence}.", run)


def _report(error: Exception) -> None:
    """A callback that failed: say so on the page; nothing on it changes."""
    known = isinstance(error, LightwellError)
    if not known:
        LOG.error("a callback failed", exc_info=error)
    message = (
        str(error) if known else "Something went wrong; the server's log says what. Reload the page to go on."
    )
    set_props("notice", {"children": html.Div(message, className="notice", role="alert")})


def _add_routes(server: Flask, queries: Queries) -> None:
    @server.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", version=lightwell_version(), model_type=queries.model_type.name)

    @server.errorhandler(Exception)
    def failed(error: Exception) -> tuple[str, int, dict[str, str]]:
        """Requests that no page sends: one line, never a traceback."""
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        if isinstance(error, HTTPException):
            return f"lightwell: {error.name}\n", error.code or 500, plain
        LOG.warning("a request could not be understood: %s", type(error).__name__)
        return "lightwell: a request that could not be understood; reload the page\n", 400, plain


def lightwell_version() -> str:
    """The version of this program."""
    try:
        return version("lightwell")
    except PackageNotFoundError:
        return "unknown"

"""Callbacks of every page: ordering computations, acting on jobs, filling panels whose artifacts arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dash import Dash, Input, Output, set_props
from dash.development.base_component import Component
from flask import Flask, Response, jsonify, request

from dashboard import formats
from dashboard.address import AddressError, shortened
from dashboard.components.browser import in_browser
from dashboard.job_views import look
from dashboard.jobs import Jobs, Tell
from precompute.errors import LightwellError

if TYPE_CHECKING:
    from dashboard.queries import Queries

JobsOf = Callable[[Any], Jobs]
MOST_ANCHORS = 60
FOLLOW_MILLISECONDS = 2000
"""Between two questions of Dash for the answer; how far a job is the page learns by itself."""


def register_compute(app: Dash, manager: Any, jobs_of: JobsOf) -> None:
    """The background callback: it submits a job or joins the one at work, and follows it to its end."""

    def compute(tell: Tell, order: object, place: Any = None) -> Any:
        return jobs_of(place).follow(tell, order)

    app.callback(
        Output("compute-answer", "data"),
        Input("compute-order", "data"),
        background=True,
        manager=manager,
        progress=[Output("compute-progress", "data")],
        interval=FOLLOW_MILLISECONDS,
        prevent_initial_call=True,
    )(compute)


def register(app: Dash, queries: Queries, jobs: Jobs, manager: Any) -> None:
    """All of them."""
    register_compute(app, manager, lambda _place: jobs)
    in_browser(app, "noteProgress", Input("compute-progress", "data"))
    in_browser(app, "noteAnswer", Input("compute-answer", "data"))
    in_browser(app, "noteAction", Input("job-answer", "data"))
    in_browser(app, "noteRefill", Input("refilled", "data"))

    @app.callback(Output("job-answer", "data"), Input("job-order", "data"), prevent_initial_call=True)
    def act(order: object) -> dict[str, Any]:
        return acted(jobs, order)

    @app.callback(Output("refilled", "data"), Input("refill", "data"), prevent_initial_call=True)
    def refill(wanted: object) -> dict[str, Any]:
        return refilled(queries, wanted)

    _add_route(app.server, jobs)


def acted(jobs: Jobs, order: object) -> dict[str, Any]:
    """Cancel a job or free space, as a button orders; the answer says what came of it."""
    given: Mapping[str, Any] = order if isinstance(order, Mapping) else {}
    answer = {"nonce": str(given.get("nonce", ""))[:64]}
    try:
        if given.get("action") == "cancel":
            return {**answer, "said": jobs.cancel(given.get("job"))}
        if given.get("action") == "free":
            return {**answer, "said": f"{formats.size(jobs.free(given.get('what')))} freed."}
        raise AddressError(f"action {shortened(given.get('action'))}", "cancel or free", "reload the page")
    except (LightwellError, OSError) as error:
        return {**answer, "error": str(error)}


def refilled(queries: Queries, wanted: object) -> dict[str, Any]:
    """Draw anew the parts of a page that are asked for by their ids; names those that are not there."""
    from dashboard.app import page_for

    given: Mapping[str, Any] = wanted if isinstance(wanted, Mapping) else {}
    anchors = given.get("anchors")
    if not isinstance(anchors, list):
        raise AddressError("no list of anchors", "ids of parts of the page", "reload the page")
    content = page_for(queries, given.get("path"), given.get("search")).content
    named = ((getattr(part, "id", None), part) for part in _parts(content))
    parts = {name: part for name, part in named if isinstance(name, str)}
    found = [anchor for anchor in anchors[:MOST_ANCHORS] if isinstance(anchor, str) and anchor in parts]
    for anchor in found:
        set_props(anchor, {"children": getattr(parts[anchor], "children", None)})
    return {"nonce": given.get("nonce"), "lost": [anchor for anchor in anchors if anchor not in found]}


def _parts(component: Any) -> Iterator[Component]:
    """A component and all below it."""
    if isinstance(component, list | tuple):
        for child in component:
            yield from _parts(child)
    elif isinstance(component, Component):
        yield component
        yield from _parts(getattr(component, "children", None))


def _add_route(server: Flask, jobs: Jobs) -> None:
    @server.get("/jobs/state")
    def job_state() -> Response:
        """What the browser asks every second or so."""
        try:
            answer = jsonify(look(jobs, request.args.getlist("ask")))
        except LightwellError as error:
            answer = jsonify(error=str(error))
            answer.status_code = 400
        answer.headers["Cache-Control"] = "no-store"
        return answer

"""Odd addresses and forged requests over every page and every callback that is registered: a clear sentence,
never a traceback, never the sentence for what nobody foresaw."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from werkzeug.test import Client

from dashboard.app import create_app
from dashboard.pages import PAGES
from dashboard.security import LONGEST_BODY, Guard
from dashboard.server import Server
from dashboard.settings import LOOPBACK_NAMES, DashboardSettings
from tests.dashboard.made_artifacts import PlainArtifacts, plain_artifacts

UNFORESEEN = "Something went wrong"
SETTINGS = DashboardSettings(model_type="test")
ROUTER = "..page.children...navigation.children...page-title.data...notice.children.."
FORGED: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "a negative number": -1,
    "a huge number": 10**30,
    "a fraction": 0.5,
    "an empty text": "",
    "a path": "../../etc/passwd",
    "a null character": "\x00",
    "half a character": "\ud800",
    "markup": "<script>alert(1)</script>",
    "a name of Python": "__class__",
    "a long text": "a" * 100_000,
    "a pattern": "(((((",
    "an empty list": [],
    "a list": [1, "a", None, {}],
    "nested lists": [[[[]]]],
    "an empty record": {},
    "a record": {"a": {"b": [1]}, "startRow": "x", "endRow": {}},
    "a grid's request": {
        "startRow": -5,
        "endRow": 10**12,
        "sortModel": [{"colId": [], "sort": {}}],
        "filterModel": {"feature": {"type": "eval", "filter": {}}},
    },
    "a figure's click": {"points": [{"customdata": {}, "pointIndex": "x"}]},
}
"""Values that no field of any page has."""
ODD_PARTS = ("-1", "abc", "1e9", "99999999", "..", "%00", "\x00", "é", "1.5", "9" * 3000, " ", "'\"<")
ODD_VALUES = (
    "",
    "-1",
    "nope",
    "../..",
    "%00",
    "\x00",
    "x" * 3000,
    "1e999",
    "nan",
    "0:0,0:0",
    "<b>",
    "٣",
    ":,:,",
)


@pytest.fixture
def app(artifacts: PlainArtifacts, tmp_path: Path) -> Dash:
    """On a copy of its own: a page may write what a person enters."""
    directory = tmp_path / "own"
    shutil.copytree(artifacts.directory, directory)
    return create_app(SETTINGS, plain_artifacts(directory))


def on_server(app: Dash) -> list[tuple[str, dict[str, Any]]]:
    """The callbacks that the server answers, by their outputs."""
    return [(output, found) for output, found in app.callback_map.items() if "callback" in found]


def posted(name: str, value: object) -> dict[str, Any]:
    """One input of a callback as a browser would name it; a pattern's wildcards become names."""
    component, prop = name.rsplit(".", 1)
    identity = json.loads(component) if component.startswith("{") else component
    if not isinstance(identity, dict):
        return {"id": identity, "property": prop, "value": value}
    named = {key: "forged" if isinstance(part, list) else part for key, part in identity.items()}
    return {"id": named, "property": prop, "value": value}


def forged_body(output: str, callback: dict[str, Any], value: object) -> dict[str, Any]:
    """A call of a callback with the same value for all that it reads."""

    def listed(sources: list[dict[str, Any]]) -> list[Any]:
        found = []
        for source in sources:
            one = posted(f"{source['id']}.{source['property']}", value)
            found.append([one] if '["ALL"]' in str(source["id"]) else one)
        return found

    inputs = listed(callback["inputs"])
    first = inputs[0][0] if inputs and isinstance(inputs[0], list) else (inputs or [None])[0]
    names = [part.rsplit(".", 1) for part in output.strip(".").split("...")]
    targets = [{"id": name, "property": prop.split("@")[0]} for name, prop in names]
    cause = f"{first['id']}.{first['property']}" if first and isinstance(first["id"], str) else None
    return {
        "output": output,
        "outputs": targets if output.startswith("..") else targets[0],
        "inputs": inputs,
        "state": listed(callback["state"]),
        "changedPropIds": [cause] if cause else [],
    }


def test_callbacks_are_found(app: Dash) -> None:
    assert ROUTER in dict(on_server(app))
    assert len(on_server(app)) >= len(PAGES) - 1


@pytest.mark.parametrize("value", FORGED.values(), ids=FORGED)
def test_every_callback_with_a_forged_value(app: Dash, value: object, caplog: Any) -> None:
    client = app.server.test_client()
    for output, callback in on_server(app):
        body = json.dumps(forged_body(output, callback, value))
        answer = client.post("/_dash-update-component", data=body, content_type="application/json")
        assert answer.status_code < 500, f"{output}: {answer.text[:500]}"
        assert UNFORESEEN not in answer.text, f"{output}: {caplog.text[-1500:]}"
        assert "Traceback" not in answer.text
        assert len(answer.data) < LONGEST_BODY
        if answer.status_code >= 400:
            assert answer.text.startswith("lightwell: ")


def shown_at(app: Dash, pathname: str, search: str) -> str:
    """What the page at an address says; its JSON."""
    router = app.callback_map[ROUTER]
    body = forged_body(ROUTER, router, "")
    body["inputs"] = [
        {"id": "url", "property": "pathname", "value": pathname},
        {"id": "url", "property": "search", "value": search},
    ]
    answer = app.server.test_client().post("/_dash-update-component", json=body)
    assert answer.status_code == 200, answer.text[:500]
    return str(answer.text)


def refused(text: str) -> bool:
    """Whether the page says what was found and what is expected."""
    return "Nothing to show here" in text and "expected" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_odd_parts_of_paths(app: Dash, page: Any) -> None:
    for odd in ODD_PARTS:
        for pathname in (
            re.sub("<[^>]*>", odd.replace("\\", ""), page.path),
            f"{page.shown_at}/{odd}",
            f"/{odd}",
        ):
            if pathname.rstrip("/") in (other.shown_at.rstrip("/") for other in PAGES):
                continue
            text = shown_at(app, pathname, "")
            assert UNFORESEEN not in text, pathname
            assert refused(text) or ("<" not in page.path and pathname == page.path), pathname


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_odd_parameters(app: Dash, page: Any) -> None:
    """Each parameter with each odd value is either understood or refused in a sentence."""
    for name in sorted(page.parameters or ("sort", "search", "band", "feature")):
        for value in ODD_VALUES:
            text = shown_at(app, page.shown_at, f"?{name}={value}")
            assert UNFORESEEN not in text, f"{page.shown_at}?{name}={value}"
        assert refused(shown_at(app, page.shown_at, f"?{name}=1&{name}=2"))
        assert refused(shown_at(app, page.shown_at, f"?{name}={'a' * 100_000}"))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parameters is not None], ids=lambda p: p.path
)
def test_unknown_parameters_are_named(app: Dash, page: Any) -> None:
    for name in ("nope", "__class__", "%00", "../"):
        assert refused(shown_at(app, page.shown_at, f"?{name}=-1"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_examples_are_of_their_page(app: Dash, page: Any) -> None:
    text = shown_at(app, page.shown_at, "")
    assert "Nothing to show here" not in text
    assert UNFORESEEN not in text


REQUESTS = (
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%00",
    "/assets/../dashboard/app.py",
    "/assets/%2e%2e/README.md",
    "/_dash-component-suites/../../x.py",
    "/_dash-component-suites/dash/nope.js",
    "/feature/%ff%fe",
    "/features?%00=%00",
    "/" + "a" * 100_000,
    "/features?" + "a" * 100_000,
    "//evil.example/",
)


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path[:30])
@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_odd_requests(artifacts: PlainArtifacts, path: str, method: str) -> None:
    client = Client(Guard(Server(SETTINGS, artifacts), LOOPBACK_NAMES))
    answer = getattr(client, method)(f"/test{path}")
    assert answer.status_code < 500
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
    assert "def create_app" not in answer.text

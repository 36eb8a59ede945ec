"""Trees of plain elements, which the browser draws as one component each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dash import Dash

from dashboard.app import create_app
from dashboard.pages import PAGES
from tests.dashboard.made_artifacts import PlainArtifacts
from tests.dashboard.test_app import SETTINGS, call, page

PLAIN = {"dash_html_components": None, "dash_core_components": "Link"}
"""What assets/elements.js can draw; of the second namespace, only links."""


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


def nodes(shown: Any, in_tree: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every component, and whether it is part of a tree."""
    if isinstance(shown, list):
        for part in shown:
            yield from nodes(part, in_tree)
    elif isinstance(shown, dict):
        if "namespace" in shown:
            yield shown, in_tree
        is_tree = in_tree or shown.get("namespace") == "lightwell"
        for part in shown.values():
            yield from nodes(part, is_tree)


@pytest.mark.parametrize("path", [shown.shown_at for shown in PAGES])
def test_trees_hold_nothing_but_plain_elements(app: Dash, path: str) -> None:
    for node, in_tree in nodes(json.loads(page(app, path))):
        if in_tree:
            assert node["namespace"] in PLAIN
            assert PLAIN[node["namespace"]] in (None, node["type"])
            assert "id" not in node["props"], "a callback would not find it"


def test_examples_and_tables_of_a_feature_are_trees(app: Dash) -> None:
    """The browser looks through every component at every change of anything."""
    shown = list(nodes(json.loads(page(app, "/feature/5"))))
    outside = [node for node, in_tree in shown if not in_tree]
    assert len(outside) < 400
    assert not [node for node in outside if node["type"] in ("Td", "Bdi", "Article")]
    listed = call(app, "coactivations.children", {"together.value": "rows"}, {"feature-number.data": 5}).json
    assert "Td" not in {node["type"] for node, in_tree in nodes(listed) if not in_tree}

"""Several model types in one server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from werkzeug.test import Client

from dashboard.server import Server
from dashboard.settings import DashboardSettings


def prefix_of(page: str) -> str:
    """What the browser puts before the paths that it asks for."""
    found = re.search(r'"requests_pathname_prefix":("[^"]*")', page)
    assert found
    return str(json.loads(found[1]))


def client(tmp_path: Path, **settings: str) -> Client:
    return Client(Server(DashboardSettings(model_type="ultra", data_dir=tmp_path, **settings)))  # type: ignore[arg-type]


def test_each_model_type_is_below_its_name(tmp_path: Path) -> None:
    asked = client(tmp_path)
    for name in ("full", "ultra"):
        assert asked.get(f"/{name}/healthz").get_json()["model_type"] == name
        assert prefix_of(asked.get(f"/{name}/feature/3").text) == f"/{name}/"
        layout = json.dumps(asked.get(f"/{name}/_dash-layout").get_json())
        assert '"/full/"' in layout
        assert '"/ultra/"' in layout


def test_health_is_that_of_the_type_that_was_asked_for(tmp_path: Path) -> None:
    assert client(tmp_path).get("/healthz").get_json()["model_type"] == "ultra"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/ultra/"),
        ("/feature/3?band=q1", "/ultra/feature/3?band=q1"),
        ("/evil.example//x", "/ultra/evil.example//x"),
        ("/a%0d%0ab", "/ultra/a%0D%0Ab"),
        ("/é", "/ultra/%C3%A9"),
    ],
)
def test_a_path_without_a_name_leads_to_that_type(tmp_path: Path, path: str, target: str) -> None:
    answer = client(tmp_path).get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"] == target


@pytest.mark.parametrize("sent", ["/well/full/healthz", "/full/healthz"])
def test_a_proxys_prefix_may_be_taken_off_or_left(tmp_path: Path, sent: str) -> None:
    asked = client(tmp_path, url_prefix="/well")
    assert asked.get(sent).get_json()["model_type"] == "full"
    assert prefix_of(asked.get("/full/").text) == "/well/full/"
    assert asked.get("/").headers["Location"] == "/well/ultra/"

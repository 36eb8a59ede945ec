"""The dashboard as others reach it: below a proxy's prefix, under another name, with a password."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from dashboard.security import HEADERS, Guard
from dashboard.server import Server
from dashboard.settings import AUTH_VARIABLE, read_settings
from tests.dashboard.test_server import prefix_of

PREFIX = "/user/me/proxy/8050"
SIGNED = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
HUB = "https://hub.example"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """As `LIGHTWELL_AUTH=… ./run_dashboard.sh ultra --url-prefix … --allowed-hosts …` is served."""
    monkeypatch.setenv(AUTH_VARIABLE, "me:secret")
    options = ["ultra", "--data-dir", str(tmp_path), "--allowed-hosts", "hub.example", "--url-prefix", PREFIX]
    settings = read_settings(options)
    return Client(Guard(Server(settings), settings.allowed_hosts, settings.auth))


def ask(client: Client, path: str, **headers: str) -> Any:
    return client.get(path, base_url=HUB, headers={**SIGNED, **headers})


@pytest.mark.parametrize("sent", [PREFIX, ""], ids=["left", "taken off"])
def test_every_address_is_below_the_prefix(client: Client, sent: str) -> None:
    assert ask(client, f"{sent}/").headers["Location"] == f"{PREFIX}/ultra/"
    assert ask(client, f"{sent}/feature/3?band=q1").headers["Location"] == f"{PREFIX}/ultra/feature/3?band=q1"
    shown = ask(client, f"{sent}/full/compare?features=1,2")
    assert shown.status_code == 200
    assert prefix_of(shown.text) == f"{PREFIX}/full/"
    links = [part.split('"')[0] for part in shown.text.split('href="')[1:] + shown.text.split('src="')[1:]]
    assert links
    assert [link for link in links if not link.startswith((f"{PREFIX}/full/", "data:"))] == []
    script = next(link for link in links if link.endswith(".js") or ".js?" in link)
    assert ask(client, sent + script.removeprefix(PREFIX)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/ultra/", "/ultra/features.csv", "/ultra/find.json", "/healthz"])
def test_nothing_is_said_without_the_password(client: Client, path: str) -> None:
    answer = client.get(path, base_url=HUB)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert answer.text == "lightwell: a name and a password are needed\n"


def test_only_the_names_that_were_given_are_answered(client: Client) -> None:
    for host in ("localhost", "127.0.0.1", "evil.example", "hub.example.evil.example"):
        assert client.get("/ultra/", base_url=f"http://{host}", headers=SIGNED).status_code == 421
    assert ask(client, "/ultra/").status_code == 200


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({"Origin": HUB, "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": HUB, "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "https://evil.hub.example", "Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "null"}, True),
    ],
)
def test_another_sites_page_can_change_nothing(
    client: Client, headers: dict[str, str], is_refused: bool
) -> None:
    """A browser sends the password along by itself, so that alone would not do."""
    sent = {**SIGNED, **headers}
    answer = client.post("/ultra/_dash-update-component", base_url=HUB, json={}, headers=sent)
    assert (answer.status_code == 403) == is_refused


def test_headers_are_on_every_answer(client: Client) -> None:
    for path in ("/ultra/", "/ultra/healthz", "/ultra/features.csv", "/nowhere", "/ultra/_dash-layout"):
        for answer in (ask(client, path), client.get(path, base_url=HUB)):
            assert [name for name, _ in HEADERS if name not in answer.headers] == []

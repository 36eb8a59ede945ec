"""The guard lets through what comes from the app's own pages, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from dashboard.security import LONGEST_ADDRESS, LONGEST_BODY, Guard


def inner(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"inside"]


def ask(
    guard: Guard, method: str = "GET", host: str = "127.0.0.1:8050", path: str = "/", **headers: str
) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    environ = EnvironBuilder(path, method=method, headers={"Host": host, **named}).get_environ()
    environ["HTTP_HOST"] = host
    if "CONTENT_LENGTH" in headers:
        environ["CONTENT_LENGTH"] = headers["CONTENT_LENGTH"]
    body, status, sent = run_wsgi_app(guard, environ)
    return int(status.split()[0]), b"".join(body).decode(), sent


GUARD = Guard(inner, ("localhost", "127.0.0.1", "::1"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8050", "localhost:1", "LOCALHOST", "[::1]:8050"])
def test_own_names(host: str) -> None:
    assert ask(GUARD, host=host)[:2] == (200, "inside")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "a@evil", "[", "localhost.evil:80"]
)
def test_foreign_names(host: str) -> None:
    status, body, _ = ask(GUARD, host=host)
    assert status == 421
    assert body.startswith("lightwell: ")


def test_credentials_in_a_host_header_do_not_help() -> None:
    assert ask(GUARD, host="localhost:80@evil.example")[0] == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8050"}, 200),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://127.0.0.1:8050"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_changes_come_from_own_pages(headers: dict[str, str], status: int, method: str) -> None:
    assert ask(GUARD, method, **headers)[0] == status


def test_reading_from_a_link_elsewhere_is_let_through() -> None:
    assert ask(GUARD, Origin="http://evil.example", Sec_Fetch_Site="cross-site")[0] == 200


@pytest.mark.parametrize(
    ("length", "status"),
    [("0", 200), (str(LONGEST_BODY), 200), (str(LONGEST_BODY + 1), 413), ("-5", 400), ("x", 400)],
)
def test_bodies_are_bounded(length: str, status: int) -> None:
    assert ask(GUARD, "POST", CONTENT_LENGTH=length)[0] == status


def test_addresses_are_bounded() -> None:
    assert ask(GUARD, path="/" + "a" * LONGEST_ADDRESS)[0] == 414
    assert ask(GUARD, path="/?" + "a" * LONGEST_ADDRESS)[0] == 414


def test_name_and_password() -> None:
    guard = Guard(inner, ("localhost",), "me:päss")
    right = base64.b64encode("me:päss".encode()).decode()
    wrong = base64.b64encode(b"me:pass").decode()
    status, _, headers = ask(guard, host="localhost")
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic")
    assert ask(guard, host="localhost", Authorization=f"Basic {wrong}")[0] == 401
    assert ask(guard, host="localhost", Authorization=f"Basic {right}")[0] == 200


def test_every_answer_keeps_the_browser_at_home() -> None:
    for host in ("localhost", "evil.example"):
        _, _, headers = ask(GUARD, host=host)
        assert "connect-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_guard_before_a_client() -> None:
    assert Client(GUARD).get("/", base_url="http://localhost").data == b"inside"

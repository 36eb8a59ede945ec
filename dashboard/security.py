"""Who may ask, and how much: a guard in front of the app."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_BODY = 1_000_000
"""Bytes of a request's body; the app's own are a few kilobytes."""
LONGEST_UPLOAD = 32_000_000
"""Bytes of a file that is sent to one of UPLOADS."""
UPLOADS = ("/labels/import",)
"""Paths, below that of a model type, to which files are sent."""
LONGEST_ADDRESS = 8_000
"""Characters of a request's path and query together."""
READING = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Sent with every answer. The policy is what keeps a page from asking another host for anything;
Dash starts by an inline script, and Plotly compiles its WebGL kernels."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let through."""

    status: HTTPStatus
    message: str


class Guard:
    """Lets through requests to known host names, from the app's own pages, of a reasonable size."""

    def __init__(self, app: WSGIApplication, allowed_hosts: Iterable[str], auth: str | None = None) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._auth = None if auth is None else "Basic " + base64.b64encode(auth.encode()).decode()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or refuse it in one line."""
        refusal = self.refusal(environ)
        if refusal is None:
            return self._app(environ, _with_headers(start_response))
        body = f"lightwell: {refusal.message}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", 'Basic realm="lightwell", charset="UTF-8"'))
        status = f"{refusal.status.value} {refusal.status.phrase}"
        _with_headers(start_response)(status, headers)
        return [body]

    def refusal(self, environ: WSGIEnvironment) -> Refusal | None:
        """Why a request is refused; None for one that is let through."""
        checks = (self._wrong_host, _too_long, _foreign_origin, self._not_known)
        return next((found for check in checks if (found := check(environ)) is not None), None)

    def _wrong_host(self, environ: WSGIEnvironment) -> Refusal | None:
        # Without this, a page of another site whose name is made to point here could read everything.
        if _host_name(environ.get("HTTP_HOST", "")) in self._hosts:
            return None
        return Refusal(
            HTTPStatus.MISDIRECTED_REQUEST,
            "a host name that this server does not answer to; open it by the address that it printed, "
            "or start it with --allowed-hosts",
        )

    def _not_known(self, environ: WSGIEnvironment) -> Refusal | None:
        given = str(environ.get("HTTP_AUTHORIZATION", ""))
        if self._auth is None or hmac.compare_digest(given.encode(), self._auth.encode()):
            return None
        return Refusal(HTTPStatus.UNAUTHORIZED, "a name and a password are needed")


def _too_long(environ: WSGIEnvironment) -> Refusal | None:
    address = len(environ.get("PATH_INFO", "")) + len(environ.get("QUERY_STRING", ""))
    if address > LONGEST_ADDRESS:
        return Refusal(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"an address of {address:,} characters; expected at most {LONGEST_ADDRESS:,}",
        )
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal():
        return Refusal(HTTPStatus.BAD_REQUEST, "a body without a valid length")
    longest = LONGEST_UPLOAD if str(environ.get("PATH_INFO", "")).endswith(UPLOADS) else LONGEST_BODY
    if int(length) > longest:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a body of {int(length):,} bytes; expected at most {longest:,}",
        )
    return None


def _foreign_origin(environ: WSGIEnvironment) -> Refusal | None:
    """A change asked for by the page of another site; browsers say where a request comes from."""
    if environ.get("REQUEST_METHOD", "GET") in READING:
        return None
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    own = origin is None or urlsplit(origin).netloc.lower() == str(environ.get("HTTP_HOST", "")).lower()
    if own and site in ("same-origin", "none"):
        return None
    return Refusal(HTTPStatus.FORBIDDEN, "a request from the page of another site")


def _host_name(header: str) -> str:
    """The name in a Host header, without port and brackets; empty for what is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _with_headers(start_response: StartResponse) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        return start_response(status, [*headers, *HEADERS], exc_info)

    return start

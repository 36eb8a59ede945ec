"""A browser looking at a served dashboard: what it must never do is noted while it looks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import waitress

from dashboard.security import Guard
from dashboard.server import Server
from dashboard.settings import LOOPBACK_NAMES, DashboardSettings
from precompute.reading import Artifacts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@contextmanager
def serving(artifacts: Artifacts, url_prefix: str = "", auth: str | None = None) -> Iterator[str]:
    """Serve artifacts as `./run_dashboard.sh` does; gives the base address."""
    settings = DashboardSettings(model_type=artifacts.model_type.name, url_prefix=url_prefix)
    with answering(Server(settings, artifacts), auth) as base:
        yield base


@contextmanager
def answering(application: Server, auth: str | None = None) -> Iterator[str]:
    """Answer requests in a thread; gives the base address."""
    guard = Guard(application, LOOPBACK_NAMES, auth)
    # As the real one: a test process may have a thousand files open.
    server = waitress.create_server(guard, host="127.0.0.1", port=0, threads=8, asyncore_use_poll=True)

    def run() -> None:
        with suppress(OSError):  # Pages ask until the end, also while the sockets are being closed.
            server.run()

    loop = threading.Thread(target=run, daemon=True)
    loop.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}{application.prefix}"
    finally:
        server.task_dispatcher.shutdown(timeout=2)
        # The loop itself closes what it looks at, the listener and each connection, and ends with none left.
        server.trigger.pull_trigger(lambda: [end.handle_close() for end in list(server._map.values())])
        loop.join(10)
        application.close()


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; where there is none, the test is skipped, or fails if CI is set."""
    from playwright.sync_api import Error, sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:  # Without a path it is the one that `playwright install chromium` has put in its own place.
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            reason = f"no browser ({str(error).splitlines()[0]}); install Debian's package chromium"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One tab at a dashboard, with all that it did wrong."""

    page: Page
    base: str
    wrongs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(45_000)
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        self.page.on("request", self._note_request)
        self.page.on("response", self._note_response)

    def _note_message(self, message: Any) -> None:
        # Chromium's own word on drawing WebGL without a GPU, as test machines do.
        if "GL Driver Message" not in message.text:
            self.wrongs.append(f"console {message.type}: {message.text}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.base + "/", "data:", "blob:")):
            self.wrongs.append(f"another host: {request.url}")

    def _note_response(self, response: Any) -> None:
        if response.status >= 400:
            self.wrongs.append(f"status {response.status}: {response.url}")

    def open(self, path: str) -> None:
        """Open an address and wait until its page is drawn."""
        self.page.goto(self.base + path)
        self.page.wait_for_selector("#page > *")
        self.page.wait_for_load_state("networkidle")

    def text(self, selector: str) -> str:
        """The text that is seen in the first match."""
        return self.page.locator(selector).first.inner_text()

    def fact(self, name: str) -> str:
        """The value of a tile, by its name."""
        tile = self.page.locator(".tile", has=self.page.get_by_text(name, exact=True))
        return tile.locator(".tile-value").inner_text()

"""All model types in one server: the app of each below its name, made when it is first asked for."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from dashboard.app import create_app
from dashboard.place import Place
from dashboard.queries import Queries
from dashboard.service import Service
from dashboard.settings import DashboardSettings
from precompute.config import KnownType, load_config
from precompute.errors import ConfigError
from precompute.reading import Artifacts, open_artifacts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from dash import Dash

HEALTH = "/healthz"
OBJECTS_BEFORE_LOOKING = 50_000
"""That were made and not freed since garbage was last looked for."""


class Server:
    """A WSGI application: `/ultra/feature/7` goes to the app of `ultra`, as its `/feature/7`.

    A path without a model type's name leads to the one that the server was started for. Raises ConfigError
    where that one is unknown.
    """

    def __init__(
        self,
        settings: DashboardSettings,
        artifacts: Artifacts | None = None,
        service: Service | None = None,
    ) -> None:
        self._settings = settings
        self._names = tuple(load_config(settings.config).model_types) if artifacts is None else ()
        self._apps: dict[str, Dash] = {}
        self._lock = threading.Lock()
        self._config_time = self._time_of_config()
        if artifacts is None:  # An unknown name is refused before anything is begun.
            load_config(settings.config).model_type(settings.model_type)
        self.service = service or Service(settings, artifacts)
        self.app(settings.model_type, artifacts)

    @property
    def model_type(self) -> str:
        """The model type that the server was started for."""
        return self._settings.model_type

    @property
    def prefix(self) -> str:
        """The path of the pages of the model type that the server was started for."""
        return f"{self._settings.url_prefix}/{self._settings.model_type}"

    def app(self, name: str, artifacts: Artifacts | None = None) -> Dash:
        """The app of a model type."""
        with self._lock:
            if name not in self._apps:
                place = Place(name, f"{self._settings.url_prefix}/{name}", self._names, self.queries)
                chosen = artifacts or open_artifacts(name, self._settings.data_dir, self._settings.config)
                self._apps[name] = create_app(self._settings, chosen, place, self.service)
            return self._apps[name]

    def queries(self, name: str) -> Queries:
        """The questions of a model type, as its own pages ask them."""
        found: Queries = self.app(name).server.config["QUERIES"]
        return found

    def warm_up(self) -> None:
        """Read what the first visitor would wait for."""
        self.queries(self._settings.model_type).warm_up()
        # Modules and tables stay to the end; to look through them for garbage took 100 ms, at any moment.
        gc.collect()
        gc.freeze()
        # What a page makes is freed without the collector; for the few rings it is enough to look rarely.
        gc.set_threshold(OBJECTS_BEFORE_LOOKING)

    def close(self) -> None:
        """Stop what this server has started: jobs, and the processes that hold models."""
        self.service.close()
        for app in list(self._apps.values()):
            app.server.config["QUERIES"].inference.close()

    def take_up_changes(self) -> None:
        """Where the configuration file has changed, open the model types that it now describes otherwise.

        What cannot be read changes nothing but is said in the terminal.
        """
        now = self._time_of_config()
        if now == self._config_time:
            return
        with self._lock:
            self._config_time = now
            try:
                described = load_config(self._settings.config).model_types
            except ConfigError as error:
                print(f"lightwell: the pages go on as before: {error}", file=sys.stderr, flush=True)
                return
            for name in [name for name in self._names if name in described]:
                self._renew(name, described[name])

    def _renew(self, name: str, described: KnownType) -> None:
        app = self._apps.get(name)
        queries: Queries | None = app.server.config["QUERIES"] if app else None
        if queries is None or queries.model_type != described:
            self.service.jobs.forget(name)
        if queries is not None and queries.model_type != described:
            queries.inference.close()
            del self._apps[name]

    def _time_of_config(self) -> int:
        try:
            return self._settings.config.stat().st_mtime_ns if self._settings.config else 0
        except OSError:
            return 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request to the app whose name its path begins with."""
        self.take_up_changes()
        path = str(environ.get("PATH_INFO") or "/")
        prefix = self._settings.url_prefix
        if prefix and f"{path}/".startswith(f"{prefix}/"):  # Some proxies take it off, some leave it.
            path = path[len(prefix) :]
        name, _, rest = path.lstrip("/").partition("/")
        if path == HEALTH:
            return self._ask(self._settings.model_type, path, environ, start_response)
        if name in self._names or name == self._settings.model_type:
            return self._ask(name, f"/{rest}", environ, start_response)
        return self._redirect(path, environ, start_response)

    def _ask(
        self, name: str, path: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        app: WSGIApplication = self.app(name).server.wsgi_app
        script = f"{self._settings.url_prefix}/{name}"
        return app({**environ, "PATH_INFO": path, "SCRIPT_NAME": script}, start_response)

    def _redirect(
        self, path: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        # WSGI gives paths as bytes in Latin-1.
        kept = quote(path.encode("latin-1"), safe="/~")
        query = str(environ.get("QUERY_STRING") or "")
        target = f"{self.prefix}/{kept.lstrip('/')}" + (f"?{query}" if query else "")
        start_response("302 Found", [("Location", target), ("Content-Length", "0")])
        return [b""]

"""The command line: serve the dashboard at once, and compute what is missing (`./run_dashboard.sh`)."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import sys
import threading
from contextlib import closing
from typing import Any

import waitress

from dashboard.asks import Ask
from dashboard.narrator import Narrator
from dashboard.security import LONGEST_UPLOAD, Guard
from dashboard.server import Server
from dashboard.settings import DashboardSettings, read_settings
from precompute.command_line import run_command
from precompute.errors import LightwellError, UsageError

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the server, and what it has started."""


def main(argv: list[str]) -> int:
    """Serve until stopped; returns the exit code."""
    settings = read_settings(argv)
    open_many_files()
    # Before anything is begun: a port that is taken, or a model type that is not known.
    listener = listen(settings.host, settings.port)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Waitress warns whenever a page's parallel requests wait for a thread for a moment.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for number in STOPPING:
        signal.signal(number, _stop)
    with closing(listener), closing(Server(settings)) as application:
        serve(application, settings, listener)
    return 0


def serve(application: Server, settings: DashboardSettings, listener: socket.socket) -> None:
    """Answer requests, and compute behind what is missing, until a signal comes."""
    guard = Guard(application, settings.allowed_hosts, settings.auth)
    server = waitress.create_server(
        guard,
        sockets=[listener],
        threads=8,
        ident="lightwell",
        max_request_body_size=LONGEST_UPLOAD,
        # Each array that is mapped keeps a file open, and select() takes no file with a number above 1,023.
        asyncore_use_poll=True,
    )
    address = address_of(settings.host, listener, application.prefix)
    print(f"{settings.model_type}: {address}  (Ctrl-C stops)", flush=True)
    threading.Thread(target=application.warm_up, name="warm-up", daemon=True).start()
    if settings.precompute:
        threading.Thread(target=compute, args=(application,), name="precompute", daemon=True).start()
    server.run()


def open_many_files() -> None:
    """Let this process have as many files open as it may: often no more than 1,024 are allowed at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def compute(application: Server) -> None:
    """Have computed what is missing, as a job like those of the pages."""
    jobs = application.service.jobs
    try:
        submission = jobs.compute(Ask(application.model_type), origin="start")
    except (LightwellError, OSError) as error:
        print(f"lightwell: nothing can be computed: {error}", file=sys.stderr, flush=True)
        return
    if submission is not None:
        Narrator(jobs.board, submission.record)


def _stop(_number: int, _frame: Any) -> None:
    """End what waits for requests; a second signal finds nothing that would end halfway."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything slow begins; raises UsageError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror or error})",
            "a free port of this machine",
            "choose another with --port, or stop the server that has it",
        ) from None
    return listener


def address_of(host: str, listener: socket.socket, path: str) -> str:
    """What to open in a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}{path}/"


if __name__ == "__main__":
    sys.exit(run_command(main))

"""The command line: compute what is missing, then serve the dashboard (`./run_dashboard.sh`)."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading

import waitress

from dashboard.security import LONGEST_UPLOAD, Guard
from dashboard.server import Server
from dashboard.settings import DashboardSettings, read_settings
from precompute.command_line import INTERRUPTED, run_command
from precompute.errors import UsageError

GIVEN_UP = (UsageError.exit_code, INTERRUPTED)
"""Exit codes of the computation after which nothing is served."""


def main(argv: list[str]) -> int:
    """Serve until stopped; returns the exit code."""
    settings = read_settings(argv)
    application = Server(settings)
    # A port that is taken must be said before the minutes of computing, not after.
    listen(settings.host, settings.port).close()
    if settings.precompute and (code := precompute(settings)) in (*GIVEN_UP, -signal.SIGTERM):
        return code if code >= 0 else 128 - code
    listener = listen(settings.host, settings.port)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Waitress warns whenever a page's parallel requests wait for a thread for a moment.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    threading.Thread(target=application.warm_up, name="warm-up", daemon=True).start()
    guard = Guard(application, settings.allowed_hosts, settings.auth)
    server = waitress.create_server(
        guard, sockets=[listener], threads=8, ident="lightwell", max_request_body_size=LONGEST_UPLOAD
    )
    address = address_of(settings.host, listener, application.prefix)
    print(f"{settings.model_type}: {address}  (Ctrl-C stops)", flush=True)
    try:
        server.run()
    finally:
        application.close()
    return 0


def precompute(settings: DashboardSettings) -> int:
    """Bring the model type up to date in a process of its own, which may import what the server must not."""
    command = [sys.executable, "-m", "precompute.unified", "--model-type", settings.model_type]
    options = {
        "--data-dir": settings.data_dir,
        "--config": settings.config,
        "--workers": settings.workers,
    }
    for name, value in options.items():
        command += [] if value is None else [name, str(value)]
    code = run_and_wait(command)
    if code not in (0, *GIVEN_UP, -signal.SIGTERM):
        print("lightwell: not everything could be computed; the pages say what is missing", file=sys.stderr)
    return code


def run_and_wait(command: list[str]) -> int:
    """Run a command that handles Ctrl-C by itself, and that ends when this process is told to end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command)
    # Ctrl-C reaches the child too, which says how to go on; dying first would take its time from it.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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

"""What the server was asked to do: read once from arguments and environment, never changed."""

from __future__ import annotations

import argparse
import getpass
import ipaddress
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from precompute.command_line import CommandParser
from precompute.errors import UsageError

AUTH_VARIABLE = "LIGHTWELL_AUTH"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that a browser on it uses."""
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
DEFAULT_PORT = 8050
DEFAULT_TYPE = "full"


@dataclass(frozen=True)
class DashboardSettings:
    """Settings of one server."""

    model_type: str = DEFAULT_TYPE
    """The model type that is served."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data_dir: Path | None = None
    config: Path | None = None
    precompute: bool = True
    """Whether what is missing is computed by itself, while the pages are served."""
    workers: int | None = None
    """For that computation."""
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    """Names under which the server answers."""
    auth: str | None = None
    """USER:PASSWORD that every request must bring, or None."""
    url_prefix: str = ""
    """What a proxy puts before every path, such as `/lightwell`; empty without one."""

    @property
    def author(self) -> str:
        """Under which name labels are written until a browser gives another: who signs in, or who serves."""
        return self.auth.partition(":")[0] if self.auth else _login_name()

    @property
    def command_options(self) -> str:
        """What a command on the same subject needs besides its name, to be pasted into a shell."""
        given = (("--config", self.config), ("--data-dir", self.data_dir))
        return "".join(f" {name} {shlex.quote(str(value))}" for name, value in given if value is not None)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A process whose user has no entry, as in some containers.
        return "unknown"


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    options = CommandParser(
        prog="./run_dashboard.sh", description="Browse a model type, while what is missing is computed."
    )
    add = options.add_argument
    add(
        "model_type",
        nargs="?",
        default=DEFAULT_TYPE,
        metavar="NAME",
        help="full (default), ultra, or one of --config",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--port", type=int, default=DEFAULT_PORT, help=f"port to listen on (default: {DEFAULT_PORT})")
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    add("--config", type=Path, metavar="FILE", help="TOML file with model types of your own")
    add("--no-precompute", action="store_true", help="compute nothing by itself; pages have buttons")
    add("--workers", type=int, metavar="N", help="pieces computed at the same time (default: all cores)")
    add(
        "--allowed-hosts",
        default="",
        metavar="NAME,...",
        help="host names under which browsers reach the server",
    )
    add(
        "--auth",
        default=os.environ.get(AUTH_VARIABLE),
        metavar="USER:PASSWORD",
        help=f"ask for this name and password (safer in {AUTH_VARIABLE}, which others cannot see)",
    )
    add(
        "--url-prefix",
        default="",
        metavar="PATH",
        help="what a proxy puts before every path, such as /lightwell",
    )
    return options


def read_settings(argv: list[str]) -> DashboardSettings:
    """Settings from the command line; raises UsageError for what is not valid or not safe."""
    given = parser().parse_args(argv)
    named = tuple(name.strip().lower() for name in given.allowed_hosts.split(",") if name.strip())
    settings = DashboardSettings(
        model_type=given.model_type,
        host=given.host,
        port=given.port,
        data_dir=given.data_dir,
        config=given.config,
        precompute=not given.no_precompute,
        workers=given.workers,
        allowed_hosts=named or LOOPBACK_NAMES,
        auth=given.auth or None,
        url_prefix=given.url_prefix.rstrip("/"),
    )
    check(settings, bool(named))
    return settings


def check(settings: DashboardSettings, hosts_named: bool) -> None:
    """Raise UsageError for a port that does not exist, or for an open address without protection."""
    if not 0 <= settings.port <= 65_535:
        raise UsageError(f"--port {settings.port}", "a number from 0 to 65535", "choose another port")
    if settings.workers is not None and settings.workers < 1:
        raise UsageError(f"--workers {settings.workers}", "at least 1", "correct --workers")
    if settings.url_prefix and not PREFIX.fullmatch(settings.url_prefix):
        raise UsageError(
            f"--url-prefix {settings.url_prefix}", "a path such as /lightwell", "correct --url-prefix"
        )
    if settings.auth is not None and not all(settings.auth.partition(":")):
        raise UsageError("--auth without a name or a password", "USER:PASSWORD", "correct --auth")
    if not is_loopback(settings.host) and not (settings.auth and hosts_named):
        raise UsageError(
            f"--host {settings.host}, which other machines can reach",
            "--auth and --allowed-hosts beside it",
            "add both, or serve on 127.0.0.1 and use an SSH tunnel",
        )


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

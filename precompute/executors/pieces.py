"""What a worker process does: open what a step's pieces read, once, and work on piece after piece."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from precompute.errors import UsageError

SHAPING = ("numpy", "numba", "polars", "zarr")
"""Packages that write the bytes of results."""
RUNS_HELD = 4
"""Runs whose opened inputs a worker keeps at once: more than one only where a cluster serves several."""


@dataclass(frozen=True)
class Order:
    """What all pieces of one step have in common."""

    run: str
    """Names the run, among all that a cluster serves."""
    number: int
    """Counts the run's steps: what one has opened is let go when the next begins."""
    opening: Callable[[], Callable[[Any], Any]]
    sees: Path | None
    program: str
    """The program that gives the order: `program()` there."""


@dataclass(frozen=True)
class _Opened:
    number: int
    function: Callable[[Any], Any]


_opened: dict[str, _Opened] = {}
_opening = Lock()


def run_piece(order: Order, item: Any) -> Any:
    """Work on one piece, in a worker."""
    with _opening:
        held = _opened.pop(order.run, None)
        if held is None or held.number != order.number:
            held = None  # Let go before more is opened.
            _check(order)
            held = _Opened(order.number, order.opening())
        _opened[order.run] = held
        while len(_opened) > RUNS_HELD:
            del _opened[next(iter(_opened))]
    return held.function(item)


def _check(order: Order) -> None:
    """Refuse to work with another program, or on another disk."""
    if order.program != program():
        raise UsageError(
            f"a worker on {socket.gethostname()} that has another version of Lightwell or its packages",
            "the same environment as where the command runs",
            "start the worker from that environment",
        )
    if order.sees is not None and not order.sees.is_dir():
        raise UsageError(
            f"a worker on {socket.gethostname()} that does not see {order.sees}",
            "a data directory on a filesystem that all machines share, at the same path",
            "choose such a --data-dir",
        )


@lru_cache(maxsize=1)
def program() -> str:
    """What decides the bytes of results: this package's modules, by content, and those that write for it."""
    from xxhash import xxh3_128

    root = Path(__file__).parents[1]
    digest = xxh3_128()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return " ".join([digest.hexdigest(), *(f"{name} {version(name)}" for name in SHAPING)])

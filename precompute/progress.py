"""How far a step is: what steps report, and how a terminal shows it."""

from __future__ import annotations

import sys
from typing import Any, Protocol


class Progress(Protocol):
    """What a step tells while it works."""

    def start(self, total: int, unit: str) -> None:
        """Say how much there is to do, in which unit ("rows", "features")."""
        ...

    def advance(self, n: int = 1) -> None:
        """Say that n more units are done; the place where a cancelled step stops (raises Cancelled)."""
        ...


class Cancelled(Exception):  # noqa: N818 - a request, not an error
    """Raised inside a step when its job is cancelled."""


class Silent:
    """Progress that nobody watches."""

    def start(self, total: int, unit: str) -> None:
        """Take note of nothing."""

    def advance(self, n: int = 1) -> None:
        """Take note of nothing."""


class TerminalBar:
    """One progress bar on standard error, with rate and time left."""

    def __init__(self, label: str, reason: str = "") -> None:
        self.label, self.reason = label, reason
        self._bar: Any = None

    def start(self, total: int, unit: str) -> None:
        """Open the bar, or begin the next one of the same step."""
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(
            total=total,
            unit=f" {unit}",
            unit_scale=True,
            desc=self.label,
            file=sys.stderr,
            mininterval=0.3,
            dynamic_ncols=True,
            leave=False,
            postfix=self.reason,
            disable=not sys.stderr.isatty(),
        )

    def advance(self, n: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(n)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

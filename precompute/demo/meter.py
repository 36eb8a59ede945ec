"""The pace of a training run: mean loss and speed since the last line of the log."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass
class Meter:
    """Adds up losses and writes a line every so many steps."""

    n_steps: int
    """Steps of the whole run."""
    per_step: int
    """Units (tokens or rows) of a step."""
    every: int
    """Steps between two lines."""
    unit: str
    """What is counted in `per_step`."""
    _loss: float = 0.0
    _steps: int = 0
    _since: float = field(default_factory=time.monotonic)

    def add(self, step: int, loss: float, note: str = "") -> None:
        """Count a finished step (numbered from 1) and its loss."""
        self._loss += loss
        self._steps += 1
        if step % self.every == 0:
            pace = self._steps * self.per_step / (time.monotonic() - self._since)
            mean = self._loss / self._steps
            log.info("step %d/%d loss %.4f %.0f %s/s%s", step, self.n_steps, mean, pace, self.unit, note)
            self.restart()

    def restart(self) -> None:
        """Forget what was added since the last line, as after a pause."""
        self._loss, self._steps, self._since = 0.0, 0, time.monotonic()


@dataclass
class Timer:
    """Says when something is due again."""

    interval_s: float
    """Seconds between two times."""
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Return whether the interval is over; if so, a new one begins."""
        if time.monotonic() - self._last < self.interval_s:
            return False
        self._last = time.monotonic()
        return True

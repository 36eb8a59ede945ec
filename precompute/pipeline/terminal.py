"""How a terminal, or a log, is told what a run does."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from precompute.pipeline.plan import StepStatus
from precompute.pipeline.stages import Stage
from precompute.pipeline.step import Step
from precompute.progress import Progress, TerminalBar


class TerminalReporter:
    """Tells a person at a terminal what happens: a bar for the step at work, a line for each that ended."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbers = {name: number for number, name in enumerate(names, start=1)}
        self._bar: TerminalBar | None = None

    def say(self, line: str) -> None:
        """Write one line."""
        self._close_bar()
        print(line, file=sys.stderr, flush=True)

    def started(self, step: Step, reason: str) -> Progress:
        """Open the step's bar."""
        self._close_bar()
        self._bar = TerminalBar(self._label(step.name), reason)
        return self._bar

    def waiting(self, step: Step) -> None:
        """Say that another process is at it."""
        self.say(f"{self._label(step.name)} another process computes it; waiting")

    def ended(self, status: StepStatus) -> None:
        """Say how long the step took, and what it came to."""
        if status.state == "not applicable":
            self.say(f"{self._label(status.step)} not applicable: {status.reason}")
            return
        self.say(f"{self._label(status.step)} {status.seconds or 0:7.1f} s {status.n_bytes / 1e6:9.1f} MB")

    def left_out(self, step: Step, reason: str) -> None:
        """Say why a step is not computed."""
        self.say(f"{self._label(step.name)} left out: {reason}")

    def _label(self, name: str) -> str:
        return f"[{self._numbers[name]:2d}/{len(self._numbers)}] {name:<17s}"

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TerminalStages:
    """Tells on standard error which stage runs, why, and how far it is."""

    def __init__(self, labels: Mapping[str, str], of: str = "") -> None:
        self._labels, self._of = labels, of
        self._bar: TerminalBar | None = None

    def started(self, stage: Stage, reason: str) -> Progress:
        """Open the stage's bar."""
        self.close()
        label = self._of + self._labels[stage.name]
        print(f"{label}{f' ({reason})' if reason else ''}", file=sys.stderr)
        self._bar = TerminalBar(label)
        return self._bar

    def ended(self, stage: Stage) -> None:  # noqa: ARG002 - the protocol's
        """Take the stage's bar away."""
        self.close()

    def close(self) -> None:
        """Take whatever bar there is off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

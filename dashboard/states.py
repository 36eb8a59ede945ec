"""The state of every step, looked up rarely: judging all of them takes a tenth of a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Protocol

from flask import g, has_app_context

from precompute.errors import LightwellError
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.subjects import SETTINGS_FILE

SECONDS_TRUSTED = 10.0
"""After which states are looked up anew although nothing was published: a model's files may have changed."""


class Judged(Protocol):
    """What has steps with states: the artifacts of a model type, or other work of jobs."""

    @property
    def directory(self) -> Path:
        """Where the artifacts are published."""
        ...

    def status(self) -> tuple[StepStatus, ...]:
        """The state of every step, looked up now."""
        ...


class States:
    """States of one model type's steps; at most some seconds old where a file outside has changed."""

    def __init__(self, artifacts: Judged) -> None:
        self._artifacts = artifacts
        self._known: dict[str, StepStatus] = {}
        self._version: Hashable = None
        self._looked = -SECONDS_TRUSTED
        self._lock = threading.Lock()
        self._looking = False

    def all(self) -> Mapping[str, StepStatus]:
        """States by step; empty where they cannot be judged, such as without the model's files.

        One answer to a browser sees the states of one moment: a page asks some thirty times.
        """
        if not has_app_context():
            return self._now()
        seen: dict[States, Mapping[str, StepStatus]] = g.setdefault("states", {})
        if self not in seen:
            seen[self] = self._now()
        return seen[self]

    def _now(self) -> Mapping[str, StepStatus]:
        version = self._version_now()
        if version == self._version:
            if time.monotonic() - self._looked > SECONDS_TRUSTED:
                self._look_behind()
            return self._known
        with self._lock:
            if version != self._version:
                self._look(version)
        return self._known

    def of(self, step: str) -> StepStatus | None:
        """The state of one step; None where it cannot be judged."""
        return self.all().get(step)

    def version_of(self, steps: tuple[str, ...]) -> str:
        """Names what is published of some steps now; another one as soon as one of them is replaced."""
        return " ".join(_target(f"{self._artifacts.directory}/artifacts/{step}") for step in steps)

    def _look(self, version: Hashable) -> None:
        try:
            self._known = {status.step: status for status in self._artifacts.status()}
        except LightwellError:
            self._known = {}
        self._version, self._looked = version, time.monotonic()

    def _look_behind(self) -> None:
        """Look anew without anybody waiting for it."""
        if not self._looking:
            self._looking = True
            threading.Thread(target=self._look_and_end, name="states", daemon=True).start()

    def _look_and_end(self) -> None:
        try:
            with self._lock:
                self._look(self._version_now())
        finally:
            self._looking = False

    def _version_now(self) -> Hashable:
        """What is published and set: names of artifacts by step, marks of damage, time of the settings."""
        # Paths as plain strings: as objects they took most of the time.
        directory = str(self._artifacts.directory)
        try:
            links = sorted(entry.path for entry in os.scandir(f"{directory}/artifacts"))
        except OSError:
            links = []
        published = tuple((link, _target(link), _time(f"{link}/damage.txt")) for link in links)
        return published, _time(f"{directory}/{SETTINGS_FILE}")


def _target(link: str) -> str:
    try:
        return os.path.basename(os.readlink(link))  # noqa: PTH115, PTH119
    except OSError:
        return ""


def _time(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0

"""A dashboard whose artifacts a test takes away, and whose jobs behave as the test wants."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashboard.server import Server
from dashboard.service import Service
from dashboard.settings import DashboardSettings
from precompute.jobs.board import JobBoard
from precompute.jobs.launcher import Limits
from precompute.jobs.processes import started_by
from precompute.jobs.record import JobRecord
from precompute.pipeline.plan import Plan
from precompute.pipeline.subjects import Subject, open_subject
from tests.browser.served import Visit, answering
from tests.jobs.conftest import take_away
from tests.jobs.misbehaving import MARK, STEP, command, runs_noted
from tests.tiny import TinyFiles

if TYPE_CHECKING:
    from playwright.sync_api import Page

ASK = f"mine/{STEP}"
CONTROL = f"output.compute[data-ask='{ASK}']"
GO = f"{CONTROL} .compute-go"
CANCEL = f"{CONTROL} .job-cancel"
PATIENT = 60_000
"""Milliseconds that a page may take on a busy machine."""


def until(wanted: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that no page shows."""
    limit = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.05)


@dataclass
class Workshop:
    """The tiny model type in a directory of its own, without its histograms."""

    files: TinyFiles
    mark: Path

    @property
    def subject(self) -> Subject:
        return open_subject("mine", self.files.root / "data", self.files.config)

    @property
    def board(self) -> JobBoard:
        return JobBoard(self.files.root / "data")

    @property
    def n_runs(self) -> int:
        """How often the step was begun."""
        return runs_noted(self.mark)

    @property
    def is_fresh(self) -> bool:
        return Plan(self.subject).status(STEP).state == "fresh"

    def feature(self) -> int:
        """One that fires."""
        import polars as pl

        stats = pl.read_parquet(self.subject.directory / "feature_stats.parquet")
        return int(stats.sort("n_nonzero")["feature"][-1])

    def only_job(self) -> JobRecord:
        """The one job that there is."""
        (record,) = self.board.records()
        return record

    def take_away(self, *names: str) -> None:
        take_away(self.subject, *(names or (STEP,)))

    def command(self, *options: str) -> list[str]:
        """What serves it, as a person starts it."""
        import sys

        base = ["mine", "--config", str(self.files.config), "--data-dir", str(self.files.root / "data")]
        return [sys.executable, "-m", "dashboard", *base, *options]

    def survivors(self) -> list[Any]:
        """Living processes that a job has started."""
        return [process for record in self.board.records() for process in started_by(record.id)]


@pytest.fixture
def workshop(computed: TinyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """One to work in."""
    root = tmp_path / "mine"
    shutil.copytree(computed.root, root, symlinks=True, ignore=shutil.ignore_patterns(".jobs"))
    monkeypatch.setenv(MARK, str(tmp_path / "runs"))
    made = Workshop(TinyFiles(root), tmp_path / "runs")
    made.take_away()
    return made


@contextmanager
def serving_jobs(workshop: Workshop, how: str, limits: Limits | None = None) -> Iterator[str]:
    """Serve it in this process; gives the base address."""
    files = workshop.files
    settings = DashboardSettings(
        model_type="mine", config=files.config, data_dir=files.root / "data", precompute=False
    )
    service = Service(settings, None, command(how), limits)
    with answering(Server(settings, service=service)) as base:
        yield base


@dataclass
class Tabs:
    """A browser's tabs at a dashboard; nothing may be wrong in them but what a test expects."""

    browser: Any
    base: str

    def __post_init__(self) -> None:
        self.context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        self.visits: list[Visit] = []

    def open(self, path: str) -> Page:
        """A new tab at a page."""
        visit = Visit(self.context.new_page(), self.base)
        visit.page.set_default_timeout(PATIENT)
        self.visits.append(visit)
        visit.page.goto(self.base + path)
        visit.page.wait_for_selector("#page > *")
        return visit.page

    def close(self, expected: str = "$.") -> None:
        """Close all; what went wrong must match `expected`."""
        self.context.close()
        odd = [w for visit in self.visits for w in visit.wrongs if not re.search(expected, w)]
        assert odd == []


@contextmanager
def tabs_at(browser: object, base: str, expected: str = "$.") -> Iterator[Tabs]:
    """Tabs that are closed in the end."""
    tabs = Tabs(browser, base)
    try:
        yield tabs
    except BaseException:
        tabs.context.close()
        raise
    tabs.close(expected)


def press(page: Page, button: str = GO) -> None:
    """Click a button of any tab: one behind another draws a frame a second, and a click waits for two."""
    page.bring_to_front()
    page.locator(button).click()


def wait_filled(page: Page) -> None:
    """Until the panel shows what was computed, without a reload."""
    page.wait_for_selector(CONTROL, state="detached")


def wait_running(page: Page) -> None:
    """Until the panel shows how far the job is."""
    page.wait_for_selector(f"{CONTROL} .compute-bar[value]")


def feature_page(workshop: Workshop) -> str:
    """The address of a feature that fires."""
    return f"/feature/{workshop.feature()}"


def meet(workshop: Workshop, first: Page, second: Page, path: str, offset: float) -> None:
    """Two tabs ask for the same, one a little after the other."""
    workshop.mark.unlink(missing_ok=True)
    for page in (first, second):
        page.reload()
        page.wait_for_selector(GO)
    press(first)
    second.wait_for_timeout(1000 * offset)
    if second.locator(GO).count():
        # It may be filled, or show the job of the other tab, before the pointer is there.
        second.evaluate("selector => document.querySelector(selector)?.click()", GO)
    wait_filled(first)
    wait_filled(second)
    assert workshop.n_runs == 1, (path, offset)

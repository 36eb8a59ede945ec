"""Servers that are restarted, stopped or killed while jobs run; and callbacks that go through Redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dashboard.managers import REDIS_VARIABLE
from tests.browser.served_jobs import (
    CONTROL,
    GO,
    Workshop,
    feature_page,
    tabs_at,
    until,
    wait_filled,
    wait_running,
    workshop,
)
from tests.jobs.misbehaving import command
from tests.served_command import ADDRESS, ROOT

__all__ = ["workshop"]
pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(900)]
LOST = "ERR_CONNECTION|ERR_EMPTY_RESPONSE|did not respond|Failed to fetch|ERR_SOCKET|ERR_NETWORK"


@contextmanager
def server(
    words: Sequence[str], how: str = "slowly", env: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own: its address, and the process."""
    variables = {**os.environ, "LIGHTWELL_JOB_COMMAND": " ".join(command(how)), **(env or {})}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=variables, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            found = next((found for line in process.stdout if (found := ADDRESS.search(line))), None)
            assert found is not None, f"no address; exit code {process.wait()}"
            yield found[0], process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGKILL])
def test_a_server_restarted_in_mid_job(workshop: Workshop, browser: object, number: int) -> None:
    """The page stays open, says what became of the job, and has it resumed."""
    words = workshop.command("--no-precompute", "--port", str(free_port()))
    with server(words, "once-with-children") as (base, first), tabs_at(browser, base, LOST) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator(GO).click()
        wait_running(page)
        until(lambda: len(workshop.survivors()) == 3)
        first.send_signal(number)
        first.wait(20)
        until(lambda: workshop.survivors() == [], 15)
        page.locator("#connection", has_text="does not answer").wait_for()
        with server(words, "well"):
            page.locator(f"{CONTROL} .compute-stopped", has_text="It was interrupted").wait_for()
            page.wait_for_selector("#connection", state="hidden")
            assert page.inner_text(GO) == "Resume"
            page.locator(GO).click()
            wait_filled(page)
    states = [record.state for record in workshop.board.records()]
    assert states == ["finished", "interrupted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_server_leaves_no_process(workshop: Workshop, number: int) -> None:
    words = workshop.command("--port", "0")
    with server(words, "with-children") as (_, process):
        until(lambda: len(workshop.survivors()) == 3)
        below = psutil.Process(process.pid).children(recursive=True)
        assert below
        begun = time.monotonic()
        process.send_signal(number)
        process.wait(20)
        assert time.monotonic() - begun < 10
        until(lambda: not any(child.is_running() for child in below), 15)
    assert workshop.survivors() == []
    assert workshop.only_job().state == "interrupted"


def test_a_start_serves_at_once_and_computes_behind(workshop: Workshop, browser: object) -> None:
    workshop.take_away("idf")
    with server(workshop.command("--port", "0"), "slowly") as (base, _), tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        wait_running(page)
        assert "1 running" in page.inner_text("#jobs-badge")
        wait_filled(page)
    (record,) = workshop.board.records()
    assert (record.origin, record.asked[-1]) == ("start", "sae_quality")


def test_without_precompute_nothing_starts_by_itself(workshop: Workshop, browser: object) -> None:
    with (
        server(workshop.command("--port", "0", "--no-precompute")) as (base, _),
        tabs_at(browser, base) as tabs,
    ):
        page = tabs.open("/")
        page.locator(".compute-go").first.wait_for()
        page.wait_for_timeout(3000)
        assert workshop.board.records() == ()


@pytest.mark.full
def test_from_nothing_every_panel_fills_in(workshop: Workshop, browser: object) -> None:
    """An empty data directory: the page that was opened first is complete in the end."""
    shutil.rmtree(workshop.files.root / "data")
    with server(workshop.command("--port", "0"), "well") as (base, _), tabs_at(browser, base) as tabs:
        page, overview = tabs.open("/feature/3"), tabs.open("/")
        page.locator(f"{CONTROL}, output.compute").first.wait_for()
        page.set_default_timeout(300_000)
        # Other model types of the configuration have buttons of their own.
        page.wait_for_selector("output.compute[data-ask^='mine/']", state="detached")
        page.locator("#feature-title").wait_for()
        overview.locator("#steps", has_text="All 19 steps are up to date").wait_for()
    assert {record.state for record in workshop.board.records()} == {"finished"}


# Redis.


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real Redis; where there is none the test is skipped, or fails if CI is set."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "no redis-server; install Debian's package redis-server"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        until(lambda: _listens(port))
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.full
def test_callbacks_go_through_redis(workshop: Workshop, browser: object, redis_url: str) -> None:
    """Celery's worker submits and follows; a double click computes once; nothing is left in the end."""
    words = workshop.command("--no-precompute", "--port", "0")
    with server(words, "once-exits", {REDIS_VARIABLE: redis_url}) as (base, process):
        below = psutil.Process(process.pid).children(recursive=True)
        assert any("dashboard.worker" in " ".join(child.cmdline()) for child in below)
        with tabs_at(browser, base) as tabs:
            page, other = tabs.open(feature_page(workshop)), tabs.open(feature_page(workshop))
            page.bring_to_front()
            page.locator(GO).dblclick()
            for shown in (page, other):
                shown.locator(f"{CONTROL} .compute-stopped", has_text="sys.exit(3)").wait_for()
            page.locator(GO).click()
            wait_filled(page)
            wait_filled(other)
        assert workshop.n_runs == 2
        owner = workshop.board.records()[0].submitter
        assert owner is not None
        assert owner.pid != process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not any(child.is_running() for child in below), 15)


def test_a_redis_that_does_not_answer_is_refused_in_one_line(workshop: Workshop) -> None:
    words = workshop.command("--no-precompute", "--port", "0")
    env = {**os.environ, REDIS_VARIABLE: f"redis://127.0.0.1:{free_port()}/0"}
    ended = subprocess.run(words, capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "no Redis answers" in ended.stderr

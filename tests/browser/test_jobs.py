"""Buttons that can be trusted: whatever is done to browser, job or server, nothing is lost or done twice."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from typing import Any

import pytest

from precompute.jobs.launcher import Limits
from precompute.pipeline.registry import steps
from tests.browser.served_jobs import (
    CANCEL,
    CONTROL,
    GO,
    Workshop,
    feature_page,
    meet,
    press,
    serving_jobs,
    tabs_at,
    until,
    wait_filled,
    wait_running,
    workshop,
)
from tests.jobs.misbehaving import STEP, WAYS

__all__ = ["workshop"]
pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("n_clicks", [2, pytest.param(3, marks=pytest.mark.full)])
def test_clicking_twice_or_thrice_computes_once(workshop: Workshop, browser: object, n_clicks: int) -> None:
    with serving_jobs(workshop, "slowly") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        assert "about" in page.inner_text(f"{CONTROL} .compute-cost")
        page.locator(GO).click(click_count=n_clicks)
        wait_running(page)
        assert "1 running" in page.inner_text("#jobs-badge")
        assert "rows/s" in page.inner_text(f"{CONTROL} .compute-progress")
        assert "left" in page.inner_text(f"{CONTROL} .compute-progress")
        wait_filled(page)
    assert workshop.n_runs == 1
    assert workshop.only_job().state == "finished"


def test_holding_enter_computes_once(workshop: Workshop, browser: object) -> None:
    with serving_jobs(workshop, "slowly") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator(GO).focus()
        for _ in range(60):  # A key that is held is pressed again and again, and let go once.
            page.keyboard.down("Enter")
            page.wait_for_timeout(30)
        page.keyboard.up("Enter")
        wait_filled(page)
    assert workshop.n_runs == 1
    assert workshop.only_job().state == "finished"


@pytest.mark.full
def test_two_tabs_are_both_served_by_one_computation(workshop: Workshop, browser: object) -> None:
    with serving_jobs(workshop, "well") as base, tabs_at(browser, base) as tabs:
        path = feature_page(workshop)
        first, second = tabs.open(path), tabs.open(path)
        for offset in (0.0, 0.4):
            workshop.take_away()
            meet(workshop, first, second, path, offset)


def test_a_reloaded_page_finds_its_job_and_can_cancel_it(workshop: Workshop, browser: object) -> None:
    with serving_jobs(workshop, "with-children") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator(GO).click()
        wait_running(page)
        page.reload()
        wait_running(page)
        until(lambda: len(workshop.survivors()) == 3)
        page.locator(f"{CANCEL}:enabled").click()
        page.locator(f"{CONTROL} .compute-stopped", has_text="It was cancelled").wait_for()
        until(lambda: workshop.survivors() == [], 10)
        assert page.inner_text("#jobs-badge").strip() == "Jobs"
    assert workshop.only_job().state == "cancelled"
    assert not workshop.is_fresh


@pytest.mark.full
def test_a_closed_tab_loses_nothing(workshop: Workshop, browser: object) -> None:
    with serving_jobs(workshop, "slowly") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator(GO).click()
        wait_running(page)
        page.close()
        again = tabs.open(feature_page(workshop))
        wait_running(again)
        wait_filled(again)
    assert workshop.n_runs == 1


LOST = "ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|ERR_NETWORK|did not respond|Failed to fetch|NetworkError"


@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.full), "during"])
def test_a_network_lost_for_four_seconds(workshop: Workshop, browser: object, moment: str) -> None:
    with serving_jobs(workshop, "slowly") as base, tabs_at(browser, base, LOST) as tabs:
        page = tabs.open(feature_page(workshop))
        if moment == "during":
            page.locator(GO).click()
            wait_running(page)
        tabs.context.set_offline(True)
        if moment == "before":
            page.locator(GO).click()
        page.locator("#connection", has_text="does not answer").wait_for()
        page.wait_for_timeout(4000)
        tabs.context.set_offline(False)
        page.wait_for_selector("#connection", state="hidden")
        wait_filled(page)
    assert workshop.n_runs == 1


WORDS = {
    "killed": "SIGKILL",
    "out-of-memory": "memory ran out",
    "exits": "sys.exit(3)",
    "raises": "ZeroDivisionError",
    "disk-full": "no space left",
}


@pytest.mark.parametrize(
    "how", [how if how == "killed" else pytest.param(how, marks=pytest.mark.full) for how in WORDS]
)
def test_a_job_that_dies_says_why_and_can_be_retried(workshop: Workshop, browser: object, how: str) -> None:
    with serving_jobs(workshop, f"once-{how}") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        other = tabs.open(feature_page(workshop))
        press(page)
        for shown in (page, other):
            shown.locator(f"{CONTROL} .compute-stopped", has_text=WORDS[how]).wait_for()
            shown.locator(GO).get_by_text("Retry", exact=True).wait_for()
        assert not workshop.is_fresh
        press(page)
        wait_filled(page)
        wait_filled(other)
    assert [record.state for record in workshop.board.records()] == ["finished", "failed"]


@pytest.mark.full
def test_polars_and_torch_in_server_and_job(workshop: Workshop, browser: object) -> None:
    """Thread pools do not survive a fork: whoever forked would hang here."""
    import polars as pl
    import torch

    with serving_jobs(workshop, "polars-and-torch") as base, tabs_at(browser, base) as tabs:
        assert float((torch.ones(300, 300) @ torch.ones(300, 300)).sum()) == 300.0**3
        assert pl.DataFrame({"a": range(10)}).group_by("a").len().height == 10
        page = tabs.open(feature_page(workshop))
        page.locator(GO).click()
        wait_filled(page)


@pytest.mark.full
def test_two_servers_on_one_data_directory(workshop: Workshop, browser: object) -> None:
    with (
        serving_jobs(workshop, "slowly") as one,
        serving_jobs(workshop, "slowly") as two,
        tabs_at(browser, one) as at_one,
        tabs_at(browser, two) as at_two,
    ):
        first, second = at_one.open(feature_page(workshop)), at_two.open(feature_page(workshop))
        press(first)
        wait_running(second)
        press(second, f"{CANCEL}:enabled")
        first.locator(f"{CONTROL} .compute-stopped", has_text="cancelled").wait_for()
        press(second)
        first.evaluate("selector => document.querySelector(selector)?.click()", GO)
        wait_filled(first)
        wait_filled(second)
    assert workshop.n_runs == 2
    assert [record.state for record in workshop.board.records()] == ["finished", "cancelled"]


def post(base: str, ask: str, nonce: str) -> None:
    """Order a computation as a button does, without waiting for its answer."""
    path = "/" + base.split("/", 3)[3]
    body = {
        "output": "compute-answer.data",
        "outputs": {"id": "compute-answer", "property": "data"},
        "inputs": [{"id": "compute-order", "property": "data", "value": {"ask": ask, "nonce": nonce}}],
        "changedPropIds": ["compute-order.data"],
        "state": [],
    }
    headers = {"Content-Type": "application/json"}
    url = base.removesuffix(path) + callback_path(base)
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()


def callback_path(base: str) -> str:
    return "/" + base.split("/", 3)[3] + "/_dash-update-component"


def page_seconds(base: str, feature: int) -> float:
    """How long the server takes to answer with a page."""
    body = {
        "output": "..page.children...navigation.children...page-title.data...notice.children..",
        "outputs": [
            {"id": name, "property": prop}
            for name, prop in (
                ("page", "children"),
                ("navigation", "children"),
                ("page-title", "data"),
                ("notice", "children"),
            )
        ],
        "inputs": [
            {"id": "url", "property": "pathname", "value": f"/mine/feature/{feature}"},
            {"id": "url", "property": "search", "value": ""},
        ],
        "changedPropIds": ["url.pathname"],
        "state": [],
    }
    url = base.split("/mine", maxsplit=1)[0] + callback_path(base)
    headers = {"Content-Type": "application/json"}
    begun = time.perf_counter()
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
    return time.perf_counter() - begun


def job_state(base: str, *asks: str) -> dict[str, Any]:
    query = "&".join(f"ask={ask}" for ask in asks)
    with urllib.request.urlopen(f"{base}/jobs/state?{query}") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.full
def test_fifty_submissions_at_once(workshop: Workshop, browser: object) -> None:
    """Each for something else: the queue is bounded, and pages go on answering."""
    ends = [name for name in steps() if not any(name in step.inputs for step in steps().values())]
    ends.remove("feature_stats")
    workshop.take_away(STEP, *ends)
    draw = random.Random(3)
    asks = ["mine/" + ",".join(draw.sample(ends, 2)) for _ in range(49)]
    with serving_jobs(workshop, "very-slowly", Limits(running=1, waiting=5)) as base:
        feature = workshop.feature()
        post(base, f"mine/{STEP}", "first")
        until(lambda: any(record.n_total for record in workshop.board.active()))
        quiet = statistics.median(page_seconds(base, feature) for _ in range(9))
        threads = [threading.Thread(target=post, args=(base, ask, str(n))) for n, ask in enumerate(asks)]
        for thread in threads:
            thread.start()
        taken = [page_seconds(base, feature) for _ in range(25)]
        for thread in threads:
            thread.join()
        until(lambda: job_state(base)["waiting"] == 5)
        assert job_state(base)["running"] == 1
        # The bound is for a machine that does nothing else.
        assert statistics.median(taken) < max(0.2, 2.5 * quiet)
        with tabs_at(browser, base) as tabs:
            page = tabs.open("/jobs")
            assert page.locator("#jobs-active .job").count() == 6
            page.locator("#jobs-badge", has_text="1 running, 5 waiting").wait_for()
    assert all(not record.is_active for record in workshop.board.records())
    assert len(workshop.board.records()) == 6


@pytest.mark.full
def test_a_full_queue_is_said_at_the_button(workshop: Workshop, browser: object) -> None:
    workshop.take_away("idf", "logit_stats")
    limits = Limits(running=1, waiting=0)
    with serving_jobs(workshop, "very-slowly", limits) as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator("output.compute[data-ask='mine/logit_stats'] .compute-go").click()
        page.locator("output.compute .compute-said", has_text="wait already, the most that may").wait_for()


def test_the_page_of_jobs(workshop: Workshop, browser: object) -> None:
    """Cancel, retry, log, a whole model type, and freeing space with what depends on it."""
    workshop.take_away("idf")
    with serving_jobs(workshop, "once-very-slowly") as base, tabs_at(browser, base) as tabs:
        page = tabs.open("/jobs")
        assert "17 of 19 steps" in page.inner_text("#type-mine")
        page.locator("#type-mine .compute-go").click()
        page.locator("#jobs-active .job", has_text="Everything of mine").wait_for()
        page.locator("#jobs-active .job-about", has_text="rows/s").wait_for()
        assert "process" in page.inner_text("#jobs-active")
        page.locator("#jobs-active .job-cancel").click()
        ended = page.locator("#jobs-ended tbody tr").first
        ended.locator(".state.cancelled").wait_for()
        ended.locator(".job-retry").click()
        page.locator("#type-mine", has_text="everything is up to date").wait_for()
        page.locator("#jobs-ended tbody tr", has=page.locator(".state.finished")).wait_for()
        page.locator("#jobs-ended a", has_text="log").first.click()
        page.locator("#job-chosen .job-log", has_text="histograms").wait_for()
        assert "?job=" in page.url
        assert "read by" in page.inner_text("#space-transpose")
        warnings: list[str] = []
        page.on("dialog", lambda dialog: (warnings.append(dialog.message), dialog.accept()))
        page.locator("#space-histograms .job-free").click()
        page.locator("#notice", has_text="freed").wait_for()
        page.locator("#type-mine", has_text="18 of 19").wait_for()
        page.wait_for_selector("#space-histograms", state="detached")
        assert "Remove histograms of mine" in warnings[0]
    assert not workshop.is_fresh


@pytest.mark.full
def test_a_command_in_a_terminal_is_seen_and_fills_pages(workshop: Workshop, browser: object) -> None:
    code = (
        "import sys; from tests.jobs import misbehaving as m; from precompute.pipeline.registry import steps;"
        "object.__setattr__(steps()['histograms'], 'run', m.counted(m.WAYS['slowly'], False));"
        "from precompute.command_line import run_command; from precompute.unified import main;"
        "sys.exit(run_command(main))"
    )
    data = str(workshop.files.root / "data")
    options = ["--model-type", "mine", "--config", str(workshop.files.config), "--data-dir", data]
    with serving_jobs(workshop, "well") as base, tabs_at(browser, base) as tabs:
        page, list_page = tabs.open(feature_page(workshop)), tabs.open("/jobs")
        with subprocess.Popen([sys.executable, "-c", code, *options], stderr=subprocess.DEVNULL) as command:
            wait_running(page)
            list_page.locator("#jobs-active .job", has_text="run in a terminal").wait_for()
            wait_filled(page)
            assert command.wait(60) == 0
        list_page.locator("#jobs-ended", has_text="run in a terminal").wait_for()
    assert workshop.n_runs == 1


def test_a_stale_panel_says_so_and_can_be_computed_anew(workshop: Workshop, browser: object) -> None:
    with serving_jobs(workshop, "well") as base, tabs_at(browser, base) as tabs:
        page = tabs.open(feature_page(workshop))
        page.locator(GO).click()
        wait_filled(page)
        (workshop.subject.directory / "settings.toml").write_text("n_bins = 7\n")
        page.reload()
        page.locator(".outdated", has_text="histograms is stale: n_bins is now 7").wait_for()
        page.locator(GO).click()
        wait_filled(page)
        assert page.locator(".outdated", has_text="histograms").count() == 0
    assert workshop.is_fresh


@pytest.mark.parametrize(
    "order",
    [
        None,
        [],
        "x",
        {"ask": 3},
        {"ask": "other/*"},
        {"ask": "mine/nope"},
        {"ask": "mine/" + "a" * 9000},
        {"retry": "../x"},
        {"retry": {"a": 1}},
    ],
)
def test_forged_orders_are_answered_in_words(workshop: Workshop, order: object) -> None:
    from dashboard.callbacks import acted
    from dashboard.jobs import Jobs
    from dashboard.settings import DashboardSettings

    files = workshop.files
    jobs = Jobs(DashboardSettings(model_type="mine", config=files.config, data_dir=files.root / "data"))
    assert jobs.follow(lambda _: None, order)["error"]
    assert acted(jobs, order)["error"]
    assert workshop.board.records() == ()


def test_every_way_to_misbehave_is_tried() -> None:
    assert {f"{how}" for how in WORDS} <= set(WAYS)

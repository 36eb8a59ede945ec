"""The page that opens without a server, in a real browser: what it shows is what the artifacts say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboard.token_view import running
from precompute.export.static_page import AFTER, BEFORE, export
from precompute.reading import Artifacts

pytestmark = pytest.mark.browser
N_SHOWN = 4


@pytest.fixture(name="file", scope="module")
def file_fixture(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "sae.html"
    assert export(artifacts, None, target, N_SHOWN) < 200_000
    return target


@pytest.fixture(name="opened", params=["light", "dark"])
def opened_fixture(browser: Any, file: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page from disk, in both colour schemes; it must ask nobody for anything and complain of nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=request.param)
    page, wrongs = context.new_page(), []
    page.on("console", lambda message: wrongs.append(message.text))
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on("request", lambda asked: wrongs.append(asked.url) if asked.url != page_url(file, asked) else None)
    page.goto(file.as_uri())
    page.wait_for_selector("h2")
    assert page.evaluate("document.documentElement.dataset.scheme") == request.param
    yield page
    context.close()
    assert wrongs == []


def page_url(file: Path, asked: Any) -> str:
    """The addresses that may be asked for: the file itself, and what is written in it."""
    own = asked.url.split("#")[0] == file.as_uri() or asked.url.startswith("data:")
    return str(asked.url) if own else file.as_uri()


def go(page: Any, feature: int) -> None:
    page.evaluate(f"location.hash = '#{feature}'")
    wait_for(page, feature)


def wait_for(page: Any, feature: int) -> None:
    """Until a feature is shown; by a locator, since a function that waits is text, which the page forbids."""
    page.locator("h2", has_text=re.compile(rf"^Feature {feature}$")).wait_for()


def alive(artifacts: Artifacts) -> list[int]:
    table = artifacts.table("feature_stats")
    return table.filter(pl.col("n_nonzero") > 0)["feature"].to_list()


def test_statistics_histogram_and_effects(opened: Any, artifacts: Artifacts) -> None:
    for feature in alive(artifacts)[:4]:
        go(opened, feature)
        row = artifacts.table("feature_stats").filter(feature=feature).row(0, named=True)
        assert opened.locator(".statistics dd").first.inner_text() == f"{row['n_nonzero']:,}"
        counts = artifacts.table("histograms").filter(feature=feature)["counts"][0].to_list()
        titles = opened.eval_on_selector_all("svg rect title", "all => all.map(t => t.textContent)")
        assert [int(title.split()[0].replace(",", "")) for title in titles] == counts
        best = artifacts.table("influences").filter(feature=feature, direction="promotes").sort("rank")
        shown = opened.locator(".effects table").first.locator("tbody tr")
        assert shown.count() == min(10, best.height)
        for at in range(shown.count()):
            value = float(shown.nth(at).locator("td").last.inner_text().replace(",", ""))
            assert value == pytest.approx(best["influence"][at], rel=1e-3, abs=1e-6)


def test_examples_show_their_tokens_and_light_up_where_it_fires(opened: Any, artifacts: Artifacts) -> None:
    names, n_special = artifacts.table("vocabulary")["token"], artifacts.table("windows")["n_special"]
    for feature in alive(artifacts)[:5]:
        go(opened, feature)
        rows = artifacts.table("examples").filter(feature=feature, band="top").sort("rank").head(N_SHOWN)
        texts = opened.locator(".examples .text")
        assert texts.count() == rows.height
        for at, row in enumerate(rows.iter_rows(named=True)):
            found = artifacts.example(row["example"], feature)
            first = max(n_special[row["example"]], row["position"] - BEFORE)
            stop = row["position"] + AFTER + 1
            spans = texts.nth(at).locator("span:not(.dim)")
            tokens = [names[token] for token in found.token_ids[first:stop].tolist()]
            assert spans.count() == len(tokens)
            lit = spans.evaluate_all("all => all.map(s => s.style.background !== '')")
            assert lit == [bool(act) for act in found.acts[first:stop]]
            shown = spans.evaluate_all("all => all.map(s => s.textContent)")
            assert shown == [running(token) for token in tokens]
            marked = texts.nth(at).locator(".at").get_attribute("title")
            assert float(marked.split()[1].replace(",", "")) == pytest.approx(row["activation"], rel=1e-3)


def test_search_order_and_keys(opened: Any, artifacts: Artifacts) -> None:
    table = artifacts.table("feature_stats")
    opened.fill("#search", "7")
    first = opened.locator("#list .row").first
    assert first.locator("b").inner_text() == "7"
    opened.fill("#search", "")
    opened.select_option("#order", "frequency")
    most = table.sort("frac_active", "feature", descending=[True, False])["feature"].to_list()
    assert first.locator("b").inner_text() == str(most[0])
    assert opened.locator("#found").inner_text() == f"{table.height} of {table.height} features"
    first.click()
    wait_for(opened, most[0])
    opened.keyboard.press("ArrowRight")
    wait_for(opened, most[1])
    opened.fill("#search", "no such token")
    assert opened.locator("#found").inner_text().startswith("0 of")


def test_an_address_that_it_does_not_hold(opened: Any) -> None:
    opened.evaluate("location.hash = '#99999'")
    opened.locator("#main", has_text="no feature 99999").wait_for()


def test_it_is_dark_when_asked(opened: Any) -> None:
    before = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.click("#scheme")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_axe_finds_nothing(opened: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_one_feature_needs_no_list(browser: Any, artifacts: Artifacts, tmp_path: Path) -> None:
    feature = alive(artifacts)[2]
    export(artifacts, [feature], tmp_path / "one.html", 2)
    page = browser.new_page()
    page.goto((tmp_path / "one.html").as_uri())
    page.wait_for_selector("h2")
    assert page.locator("h2").inner_text() == f"Feature {feature}"
    assert not page.locator("#side").is_visible()
    page.close()


def test_the_same_artifacts_give_the_same_bytes(artifacts: Artifacts, file: Path, tmp_path: Path) -> None:
    export(artifacts, None, tmp_path / "again.html", N_SHOWN)
    assert (tmp_path / "again.html").read_bytes() == file.read_bytes()

"""The page of sweeps in a real browser: its numbers, its links, its address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboard.components.sweep_panels import _share
from dashboard.queries import Queries
from dashboard.questions import sweeps
from dashboard.sweep_figure import number
from dashboard.token_view import label
from tests.browser.checks_axe import check_axe
from tests.browser.served import Visit, serving
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts
from tests.dashboard.made_sweeps import make_sweep

pytestmark = [pytest.mark.full, pytest.mark.browser]
DRAWN = "document.querySelector('#sweep-curves .js-plotly-plot')?._fullData"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    found = make_artifacts(tmp_path_factory.mktemp("served") / "precomputed_test", n_examples=60)
    make_sweep(found.subject.data_dir, "cold", 0.5)
    make_sweep(found.subject.data_dir, "hot", 1.0)
    return found


@pytest.fixture(scope="module")
def base(artifacts: PlainArtifacts) -> Iterator[str]:
    with serving(artifacts) as address:
        yield address


def names_drawn(visit: Visit, wanted: list[str]) -> None:
    visit.page.wait_for_function(
        f"wanted => {{ const d = {DRAWN}; return d && "
        "JSON.stringify(d.filter(t => t.showlegend).map(t => t.name)) === JSON.stringify(wanted); }",
        arg=wanted,
    )


def test_sweeps_are_laid_over_each_other_and_taken_off(visit: Visit, artifacts: PlainArtifacts) -> None:
    visit.open("/sweeps")
    names_drawn(visit, ["cold", "hot"])
    visit.page.locator(".sweep-choices").first.get_by_role("link", name="hot").click()
    visit.page.wait_for_function("location.search === '?runs=cold'")
    names_drawn(visit, ["cold", "the first K alone"])
    run = sweeps.opened(Queries(artifacts), "cold")
    first = visit.page.locator("#curves tbody tr").first.locator("td").all_inner_texts()
    assert first[:2] == ["cold", "1"]
    expected = run.entries[0]["variance_recovery"]
    assert first[2].startswith(number(expected["estimate"], "variance_recovery"))
    assert number(expected["bca"][0], "variance_recovery") in first[2]


def test_a_row_leads_to_its_explanations(visit: Visit, artifacts: PlainArtifacts) -> None:
    queries = Queries(artifacts)
    run = sweeps.opened(queries, "cold")
    order = sweeps.ordered(sweeps.row_scores(queries, run), "best")
    visit.open("/sweeps?runs=cold&order=best")
    shown = visit.page.locator("#rows tbody tr td:first-child").all_inner_texts()
    assert [int(text) for text in shown] == order
    visit.page.locator("#rows tbody tr").nth(2).locator("a").click()
    visit.page.wait_for_function(f"location.search.includes('row={order[2]}')")
    visit.page.wait_for_selector(f"#row h2:text-is('Row {order[2]}')")
    opened = sweeps.row_of(queries, run, str(order[2]), 0)
    rows = visit.page.locator("#row tbody tr")
    assert rows.count() == len(opened.explanations)
    assert visit.page.locator("#row .best-sample").count() == 1
    best = rows.first.locator("td").all_inner_texts()
    assert (best[0], best[2]) == (str(opened.explanations[0].number), _share(opened.explanations[0].recovery))
    chips = rows.first.locator(".token-chip").all_inner_texts()
    assert chips == [label(token) for token in opened.explanations[0].tokens]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_those_who_hear_the_page(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme, ["/sweeps"])

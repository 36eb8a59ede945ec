"""The page of density weights in a real browser: its numbers, its sliders by keys, its address."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dashboard import formats
from dashboard.queries import Queries
from dashboard.questions import density
from tests.browser.checks_axe import check_axe
from tests.browser.served import Visit, serving
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts
from tests.dashboard.made_density import make_density

pytestmark = [pytest.mark.full, pytest.mark.browser]
DRAWN = "document.querySelector('#density-draws .js-plotly-plot')?._fullData?.[0]?.y"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    found = make_artifacts(tmp_path_factory.mktemp("served") / "precomputed_test", n_examples=60)
    make_density(found.subject.data_dir)
    return found


@pytest.fixture(scope="module")
def base(artifacts: PlainArtifacts) -> Iterator[str]:
    with serving(artifacts) as address:
        yield address


def shown_is(visit: Visit, found: density.Weighed) -> None:
    """Numbers and figure are those of the formula."""
    expected = formats.count(round(found.effective))
    visit.page.wait_for_function(
        "([name, text]) => [...document.querySelectorAll('.tile')].some("
        "tile => tile.innerText.includes(name) && tile.innerText.includes(text))",
        arg=["Effective sample size", expected],
    )
    visit.page.wait_for_function(
        f"wanted => {{ const y = {DRAWN}; return y && Math.abs(y[0] - wanted) < 1e-6; }}",
        arg=float(found.drawn()[0]),
    )
    np.testing.assert_allclose(visit.page.evaluate(f"Array.from({DRAWN})"), found.drawn(), atol=1e-6)


def test_sliders_show_their_effect_at_once(visit: Visit, artifacts: PlainArtifacts) -> None:
    queries = Queries(artifacts)
    run = density.opened(queries, None)
    visit.open("/density")
    shown_is(visit, density.weighed(queries, run, run.settings))
    assert visit.text("#density-said") == "These are the weights on disk."
    visit.page.locator("#density-exponent [role='slider']").focus()
    for _ in range(3):
        visit.page.keyboard.press("ArrowLeft")
    visit.page.wait_for_function("location.search.includes('exponent=')")
    exponent = round(run.settings.exponent - 0.3, 6)
    other = density.weighed(queries, run, density.settings_of(run, {"exponent": exponent}))
    for _ in ("moved", "reloaded"):
        visit.page.wait_for_function(f"location.search === '?exponent={exponent:g}'")
        shown_is(visit, other)
        visit.page.reload()
    visit.page.locator("#density-reset").click()
    visit.page.wait_for_function("location.search === ''")
    shown_is(visit, density.weighed(queries, run, run.settings))


def test_the_lists_are_those_of_the_distances(visit: Visit, artifacts: PlainArtifacts) -> None:
    run = density.opened(Queries(artifacts), None)
    visit.open("/density")
    for anchor, alone in (("density-rarest", True), ("density-densest", False)):
        shown = visit.page.locator(f"#{anchor} tbody tr td:last-child").all_inner_texts()
        assert shown == [run.prompts[run.firsts[text]] for text in density.extremes(run, alone)]
    copies = visit.page.locator("#density-duplicates tbody tr td:first-child").all_inner_texts()
    assert [int(n) for n in copies] == [int(run.copies[text]) for text in density.duplicated(run)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_those_who_hear_the_page(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme, ["/density"])

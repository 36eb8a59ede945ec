"""Every page in a real browser: right values, an empty console, no request to another host."""

from __future__ import annotations

import pytest

from dashboard.pages import PAGES
from precompute.reading import Artifacts
from tests.browser import checks
from tests.browser.served import Visit
from tests.builders import SILENT

pytestmark = pytest.mark.browser


def test_overview(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_overview(visit, artifacts)


def test_table(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_table(visit, artifacts)


def test_search(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_search(visit, artifacts)


@pytest.mark.parametrize("feature", [SILENT, 1, *(pytest.param(f, marks=pytest.mark.full) for f in (5, 12))])
def test_feature(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    checks.check_feature(visit, artifacts, feature)


@pytest.mark.full
def test_arrow_keys(visit: Visit) -> None:
    checks.check_steps(visit, 5)


@pytest.mark.full
def test_choices(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_choices(visit, artifacts, 5)


def test_odd_addresses(visit: Visit) -> None:
    checks.check_odd_addresses(visit)


def test_going_to_a_feature_by_number(visit: Visit) -> None:
    visit.open("/")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("7")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#feature-title")
    assert visit.text("#feature-title") == "7"
    assert visit.page.title().startswith("Feature 7")


@pytest.mark.full
def test_every_hard_token_on_plotly_axes(visit: Visit, artifacts: Artifacts) -> None:
    """What Plotly would drop or decode stands on the axis as it is in the vocabulary."""
    from dashboard.token_view import label

    hard = ("<s>", "&lt;", "<br>", "\n", "\u200b", "\u202e", "$x^2$", "%{x}", "<b>bold</b>", "&amp;", "")
    wanted = {label(token) for token in hard}
    for feature in range(artifacts.row_store().d_sae):
        if not wanted:
            break
        visit.open(f"/feature/{feature}")
        visit.page.wait_for_selector("#effects-figure .ytick text", state="attached")
        wanted -= set(visit.page.locator("#effects-figure .ytick text").all_text_contents())
    assert wanted == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme_follows_the_system_until_it_is_switched(visit: Visit, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    visit.open("/")
    other = {"light": "dark", "dark": "light"}[scheme]
    assert visit.page.locator("html").get_attribute("data-mantine-color-scheme") == scheme
    visit.page.get_by_label("Switch between light and dark").click()
    visit.page.reload()
    visit.page.wait_for_selector("#page > *")
    assert visit.page.locator("html").get_attribute("data-mantine-color-scheme") == other


@pytest.mark.full
@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_wider_than_the_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    for path in [page.shown_at for page in PAGES]:
        visit.open(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_enter_in_the_table_opens_the_feature(visit: Visit) -> None:
    visit.open("/features?sort=feature:desc")
    visit.page.wait_for_selector(".ag-row a.feature-link")
    visit.page.locator(".ag-row[row-index='1'] [col-id='max']").click()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#feature-title")
    assert visit.page.url.endswith("/feature/22")
    visit.page.go_back()
    visit.page.wait_for_selector(".ag-row a.feature-link")
    assert visit.page.url.endswith("/features?sort=feature:desc")

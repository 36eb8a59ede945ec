"""The sections of the feature page in a real browser, over a small subject with hard tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from precompute.reading import Artifacts
from tests.browser.checks_feature import CHECKS, usual_feature
from tests.browser.checks_on_demand import CHECKS as ON_DEMAND
from tests.browser.served import Visit

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.mark.parametrize("check", [*CHECKS, *ON_DEMAND], ids=lambda check: check.__name__)
def test_sections(visit: Visit, artifacts: Artifacts, check: Callable[[Visit, Artifacts, int], None]) -> None:
    check(visit, artifacts, usual_feature(artifacts))


@pytest.mark.parametrize("width", [390, 1280])
def test_no_section_is_wider_than_the_window(visit: Visit, artifacts: Artifacts, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.open(f"/feature/{usual_feature(artifacts)}")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_link_among_plain_elements_loads_no_page_anew(visit: Visit, artifacts: Artifacts) -> None:
    visit.open(f"/feature/{usual_feature(artifacts)}")
    visit.page.evaluate("window.stays = true")
    chip = visit.page.locator("#neighbors a").first
    with visit.page.context.expect_page() as opened:
        chip.click(modifiers=["Control"])
    opened.value.close()
    number = chip.locator(".chip-feature").inner_text()
    assert visit.text("#feature-title") != number
    chip.click()
    visit.page.locator("#feature-title").get_by_text(number, exact=True).wait_for()
    assert visit.page.url.endswith(f"/feature/{number}")
    assert visit.page.evaluate("window.stays") is True

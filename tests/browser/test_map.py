"""The map in a real browser."""

from __future__ import annotations

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_map
from tests.browser.served import Visit

pytestmark = [pytest.mark.full, pytest.mark.browser]

CHECKS = (
    checks_map.check_points,
    checks_map.check_search_lights_up,
    checks_map.check_cluster,
    checks_map.check_similarity,
    checks_map.check_lasso,
    checks_map.check_area_by_keys,
    checks_map.check_click,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_map(visit: Visit, artifacts: Artifacts, check: object) -> None:
    check(visit, artifacts)  # type: ignore[operator]


def test_a_map_that_is_left_gives_its_drawing_back(visit: Visit) -> None:
    """A browser keeps sixteen drawings in WebGL, and complains of more; `visit` allows no complaint."""
    visit.open("/map")
    for _ in range(9):
        visit.page.wait_for_selector("#map-figure .gl-canvas")
        visit.page.evaluate("window.dash_clientside.lightwell.visit('/nothing')")
        visit.page.wait_for_selector(".message-page")
        visit.page.evaluate("window.dash_clientside.lightwell.visit('/map')")
    visit.page.wait_for_selector("#map-figure .gl-canvas")

"""The sections of the feature page in a real browser, over a small subject with hard tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from precompute.reading import Artifacts
from tests.browser.checks_feature import CHECKS, usual_feature
from tests.browser.served import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_sections(visit: Visit, artifacts: Artifacts, check: Callable[[Visit, Artifacts, int], None]) -> None:
    check(visit, artifacts, usual_feature(artifacts))


@pytest.mark.parametrize("width", [390, 1280])
def test_no_section_is_wider_than_the_window(visit: Visit, artifacts: Artifacts, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.open(f"/feature/{usual_feature(artifacts)}")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width

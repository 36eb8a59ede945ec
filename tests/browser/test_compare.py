"""Features side by side, and in other SAEs, in a real browser."""

from __future__ import annotations

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_compare
from tests.browser.served import Visit

pytestmark = [pytest.mark.full, pytest.mark.browser]


def test_comparing(visit: Visit, artifacts: Artifacts) -> None:
    checks_compare.check_all_of_comparing(visit, artifacts)


def test_ten_features(visit: Visit) -> None:
    visit.open("/compare?features=" + ",".join(map(str, range(10))))
    assert visit.page.locator("#compared-features .feature-chip").count() == 10
    assert visit.page.locator("#compare-add").count() == 0


def test_one_model_type_alone_says_why_nothing_matches(visit: Visit) -> None:
    visit.open("/feature/3")
    assert "one model type" in visit.text("#matches")

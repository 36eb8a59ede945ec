"""Two tabs that ask for the same at random moments, again and again: one computation, and both are served."""

from __future__ import annotations

import random

import pytest

from tests.browser.served_jobs import Workshop, feature_page, meet, serving_jobs, tabs_at, workshop

__all__ = ["workshop"]
pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.mark.timeout(3000)
def test_two_tabs_at_random_moments_thirty_times(workshop: Workshop, browser: object) -> None:
    draw = random.Random(11)
    with serving_jobs(workshop, "well") as base, tabs_at(browser, base) as tabs:
        path = feature_page(workshop)
        first, second = tabs.open(path), tabs.open(path)
        for _ in range(30):
            workshop.take_away()
            meet(workshop, first, second, path, draw.uniform(0, 4))

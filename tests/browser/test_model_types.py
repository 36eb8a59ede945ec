"""Going from one model type to another: the page and its choices stay, what means nothing there does not."""

from __future__ import annotations

import pytest

from tests.browser.served_jobs import Workshop, serving_jobs, tabs_at, workshop

__all__ = ["workshop"]
pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(300)]

PLACES = {
    "/map?colour=frequency&cluster=1&area=0,0,1,0,1,1": "/map?colour=frequency",
    "/map?colour=feature&feature=3": "/map?colour=feature",
    "/prompt?text=def+f&pins=1,2": "/prompt?text=def+f",
    "/feature/3?scale=linear": "/",
    "/features?sort=-frequency": "/features?sort=-frequency",
}
"""From where to where a change of the model type leads."""


def test_choices_of_one_model_type_do_not_follow_into_another(workshop: Workshop, browser: object) -> None:
    elsewhere = r"^another host: http://127\.0\.0\.1:\d+/ultra/"
    with serving_jobs(workshop, "well") as base, tabs_at(browser, base, elsewhere) as tabs:
        for path, there in PLACES.items():
            page = tabs.open(path)
            page.locator("#model-type").click()
            page.locator("a.keeps-place", has_text="ultra").click()
            page.wait_for_url("**/ultra/**")
            page.wait_for_selector("#page > *")
            assert page.url.replace("%20", "+").partition("/ultra")[2] == there, path
            page.close()

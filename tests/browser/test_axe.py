"""Axe on every page that is registered, also on pages that only say something, in light and dark."""

from __future__ import annotations

import pytest

from tests.browser.checks_axe import check_axe
from tests.browser.served import Visit

pytestmark = pytest.mark.browser
MESSAGES = (
    "/nope",
    "/feature/-1",
    "/map?search=nothing-has-this-name",
    "/tokens?search=nothing-is-like-this",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_that_only_say_something(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme, MESSAGES)

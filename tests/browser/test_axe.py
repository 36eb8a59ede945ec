"""Axe on every page that is registered, also on pages that only say something, in light and dark."""

from __future__ import annotations

import pytest

from tests.browser.checks_axe import check_axe
from tests.browser.served import Visit

pytestmark = [pytest.mark.full, pytest.mark.browser]
MORE = (
    "/compare?features=1,3",
    "/prompt?text=the+file",
    "/prompt?mode=contrast",
    "/nope",
    "/feature/-1",
    "/map?search=nothing-has-this-name",
    "/tokens?search=nothing-is-like-this",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_filled_forms_and_messages(visit: Visit, scheme: str) -> None:
    check_axe(visit, scheme, MORE)

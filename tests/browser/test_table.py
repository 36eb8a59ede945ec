"""The feature table's tools and the overview in a real browser, also below a prefix and a password."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_table
from tests.browser.served import Visit, serving

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.mark.parametrize("check", checks_table.CHECKS, ids=lambda check: check.__name__)
def test_table(visit: Visit, artifacts: Artifacts, check: Callable[[Visit, Artifacts], None]) -> None:
    check(visit, artifacts)


def test_below_a_prefix_and_behind_a_password(browser: object, artifacts: Artifacts) -> None:
    """As through a proxy on a remote machine: nothing is asked for outside the prefix."""
    with serving(artifacts, "/user/me/proxy/8050", "me:secret") as base:
        signed = {"username": "me", "password": "secret"}
        context = browser.new_context(http_credentials=signed)  # type: ignore[attr-defined]
        visit = Visit(context.new_page(), base)
        checks_table.check_palette(visit, artifacts)
        checks_table.check_comparing_chosen_rows(visit, artifacts)
        checks_table.check_export(visit, artifacts)
        context.close()
        # Chromium notes the question for the password in its console, and asks again with it.
        assert [wrong for wrong in visit.wrongs if "401" not in wrong] == []

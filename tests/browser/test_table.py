"""The feature table's tools and the overview in a real browser, also below a prefix and a password."""

from __future__ import annotations

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_table
from tests.browser.served import Visit, serving

pytestmark = [pytest.mark.full, pytest.mark.browser]


def test_columns(visit: Visit) -> None:
    checks_table.check_columns(visit)


def test_sort_by_click(visit: Visit, artifacts: Artifacts) -> None:
    checks_table.check_sort_by_click(visit, artifacts)


def test_comparing_chosen_rows(visit: Visit, artifacts: Artifacts) -> None:
    checks_table.check_comparing_chosen_rows(visit, artifacts)


def test_export(visit: Visit, artifacts: Artifacts) -> None:
    checks_table.check_export(visit, artifacts)


def test_saved_views(visit: Visit) -> None:
    checks_table.check_saved_views(visit)


def test_palette(visit: Visit, artifacts: Artifacts) -> None:
    checks_table.check_palette(visit, artifacts)


def test_frequency_bands(visit: Visit, artifacts: Artifacts) -> None:
    checks_table.check_frequency_bands(visit, artifacts)


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

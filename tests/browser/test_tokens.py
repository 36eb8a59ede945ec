"""The pages of tokens in a real browser."""

from __future__ import annotations

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_tokens
from tests.browser.served import Visit

pytestmark = pytest.mark.browser


@pytest.mark.full
def test_everything(visit: Visit, artifacts: Artifacts) -> None:
    checks_tokens.check_all_of_tokens(visit, artifacts)


def test_every_hard_token_is_shown_exactly(visit: Visit, artifacts: Artifacts) -> None:
    from dashboard.token_view import label
    from tests.dashboard.made_artifacts import HARD_TOKENS

    visit.open("/tokens?sort=token_id:asc")
    visit.page.wait_for_selector("#token-grid a.token-link")
    cells = visit.page.locator("#token-grid .ag-row [col-id='shown']")
    shown = set(cells.all_text_contents())
    assert shown & {label(token) for token in HARD_TOKENS} == {label(t) for t in HARD_TOKENS[: len(shown)]}

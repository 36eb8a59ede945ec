"""One browser and one small served fixture for the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.served import Visit, launched, serving
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Debian's chromium."""
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """A small subject whose tokens are hard to show."""
    return make_artifacts(tmp_path_factory.mktemp("served"), n_examples=60)


@pytest.fixture(scope="module")
def base(artifacts: PlainArtifacts) -> Iterator[str]:
    """Its served address."""
    with serving(artifacts) as address:
        yield address


@pytest.fixture
def visit(browser: object, base: str) -> Iterator[Visit]:
    """A tab that must end with nothing wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    looked = Visit(context.new_page(), base)
    yield looked
    context.close()
    assert looked.wrongs == []

"""The pages that ask the model, in a real browser, over a small real model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from precompute import open_artifacts
from precompute.reading import Artifacts
from tests.browser import checks_prompt
from tests.browser.served import Visit, serving
from tests.tiny import TinyFiles

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.fixture(scope="module")
def artifacts(computed: TinyFiles) -> Artifacts:
    return open_artifacts("mine", computed.root / "data", computed.config)


@pytest.fixture(scope="module")
def base(artifacts: Artifacts) -> Iterator[str]:
    with serving(artifacts) as address:
        yield address


def test_example(visit: Visit, artifacts: Artifacts) -> None:
    checks_prompt.check_example(visit, artifacts)


def test_choosing(visit: Visit) -> None:
    checks_prompt.check_choosing(visit)


def test_contributions(visit: Visit) -> None:
    checks_prompt.check_contributions(visit)


def test_writing(visit: Visit) -> None:
    checks_prompt.check_writing(visit)


def test_long_texts(visit: Visit) -> None:
    checks_prompt.check_long_texts(visit)


def test_contrast(visit: Visit, artifacts: Artifacts) -> None:
    checks_prompt.check_contrast(visit, artifacts)
    checks_prompt.check_contrast_of_the_corpus(visit, artifacts, "source", "s0", "s1")


def test_effect(visit: Visit, artifacts: Artifacts) -> None:
    checks_prompt.check_effect(visit, artifacts)
    checks_prompt.check_steering(visit, 7)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    checks_prompt.drawn(visit, "/prompt?text=return%20the%20value%20of%20a%20list")
    content = "Math.max(...Array.from(document.querySelectorAll('#page .panel')).map((p) => p.scrollWidth))"
    assert visit.page.evaluate(content) <= width

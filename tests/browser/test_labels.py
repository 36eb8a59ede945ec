"""Labels in a real browser: two people, their conflicts, the queue, sets, files in and out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from precompute.reading import Artifacts
from tests.browser.checks_labels import CHECKS
from tests.browser.served import Visit
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """A subject in a data directory of its own, whose labels nobody else sees."""
    directory = tmp_path_factory.mktemp("labelled") / "precomputed_test"
    directory.mkdir()
    return make_artifacts(directory, n_examples=60)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_labels(visit: Visit, artifacts: Artifacts, check: Callable[[Visit, Artifacts], None]) -> None:
    check(visit, artifacts)

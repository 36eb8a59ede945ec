"""Labels in a real browser: two people, their conflicts, the queue, sets, files in and out."""

from __future__ import annotations

import pytest

from precompute.reading import Artifacts
from tests.browser import checks_labels as checks
from tests.browser.served import Visit
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """A subject in a data directory of its own, whose labels nobody else sees."""
    directory = tmp_path_factory.mktemp("labelled") / "precomputed_test"
    directory.mkdir()
    return make_artifacts(directory, n_examples=60)


def test_editing(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_editing(visit, artifacts)


def test_two_people(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_two_people(visit, artifacts)


def test_table_and_list(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_table_and_list(visit, artifacts)


def test_queue(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_queue(visit, artifacts)


def test_sets(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_sets(visit, artifacts)


def test_exchange(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_exchange(visit, artifacts)


def test_palette(visit: Visit, artifacts: Artifacts) -> None:
    checks.check_palette(visit, artifacts)

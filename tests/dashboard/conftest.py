"""What the dashboard's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.queries import Queries
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts, plain_artifacts


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """Every artifact; not to be changed."""
    return make_artifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def queries(artifacts: PlainArtifacts) -> Queries:
    """The questions over them."""
    return Queries(artifacts)


@pytest.fixture
def unlabelled(artifacts: PlainArtifacts, tmp_path: Path) -> Queries:
    """The same artifacts in a data directory that has no label yet."""
    (tmp_path / "precomputed_test").symlink_to(artifacts.directory)
    return Queries(plain_artifacts(tmp_path / "precomputed_test"), author="ann")

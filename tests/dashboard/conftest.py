"""What the dashboard's tests share."""

from __future__ import annotations

import pytest

from dashboard.queries import Queries
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """Every artifact; not to be changed."""
    return make_artifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def queries(artifacts: PlainArtifacts) -> Queries:
    """The questions over them."""
    return Queries(artifacts)

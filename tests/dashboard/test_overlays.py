"""What is laid over examples: a feature, or the sum of a set's features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.queries import Queries
from dashboard.questions import overlays
from dashboard.questions.overlays import overlay_of, set_suggestions, summed
from precompute.errors import LightwellError
from precompute.stores.feature_store import FeatureActivations
from tests.dashboard.made_artifacts import PlainArtifacts


@given(st.lists(st.dictionaries(st.integers(0, 20), st.floats(0.125, 9, width=32)), min_size=1, max_size=5))
def test_the_sum_is_that_of_the_dense_rows(parts: list[dict[int, float]]) -> None:
    dense, given_ = np.zeros(21), []
    for part in parts:
        rows = np.array(sorted(part), dtype=np.uint32)
        acts = np.array([part[int(row)] for row in rows], dtype=np.float32)
        dense[rows] += acts
        given_.append(FeatureActivations(rows, acts))
    found = summed(given_)
    assert found.rows.tolist() == np.flatnonzero(dense).tolist()
    np.testing.assert_allclose(found.acts, dense[dense > 0], rtol=1e-5)
    assert found.acts.dtype == np.float32


def test_a_set_is_laid_over_as_the_sum_of_its_features(
    unlabelled: Queries, artifacts: PlainArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabelled.labels.create_set("two of them", [1, 3], "ann")
    unlabelled.labels.create_set("three", [1, 3, 5], "ann")
    dense = np.zeros(artifacts.row_store().n_rows)
    for feature in (1, 3):
        read = artifacts.feature(feature)
        dense[read.rows] += read.acts
    found = overlay_of(unlabelled, "set:two of them")
    assert found is not None
    assert found.found.rows.tolist() == np.flatnonzero(dense).tolist()
    assert found.top == pytest.approx(dense.max())
    assert found.name == "the set “two of them”"
    monkeypatch.setattr(overlays, "MOST_TOGETHER", 2)
    assert set_suggestions(unlabelled) == ["set:two of them"]
    for name in ("set:none such", "set:", "set:three"):
        with pytest.raises(LightwellError, match="expected"):
            overlay_of(unlabelled, name)


def test_a_feature_is_laid_over_as_it_is(queries: Queries, artifacts: PlainArtifacts) -> None:
    found = overlay_of(queries, "3")
    assert found is not None
    assert found.found.rows.tolist() == artifacts.feature(3).rows.tolist()
    assert found.name == "feature 3"
    assert overlay_of(queries, "") is None
    assert overlay_of(queries, None) is None

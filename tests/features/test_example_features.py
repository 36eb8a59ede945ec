"""Example features against a reference that goes through the dense matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from precompute.features import example_features
from tests.builders import dense_matrix, random_subject
from tests.features.token_steps import check_storage_and_workers_do_not_matter, row_places, run_step


@pytest.mark.parametrize("features", [None, (3, 9), (30, 40)])
def test_equals_the_reference(tmp_path: Path, features: tuple[int, int] | None) -> None:
    subject = random_subject(tmp_path, n_examples=17, d_sae=12, examples_per_shard=6)
    context = run_step(example_features.STEP, subject, tmp_path / "out", {"features": features})
    out = context.out / "example_features"
    indptr, found, largest, counts = (
        np.load(out / f"{name}.npy") for name in ("indptr", "features", "max_acts", "counts")
    )
    dense, places = dense_matrix(subject.rows), row_places(subject)
    for example in range(17):
        acts = dense[[row for row, (e, _) in enumerate(places) if e == example]]
        expected = [f for f in context.features(12) if acts[:, f].any()]
        mine = slice(indptr[example], indptr[example + 1])
        assert found[mine].tolist() == expected
        assert largest[mine].tolist() == [acts[:, f].max() for f in expected]
        assert counts[mine].tolist() == [(acts[:, f] != 0).sum() for f in expected]
    assert (found.dtype, largest.dtype, counts.dtype) == (np.uint16, np.float32, np.uint32)
    assert len(indptr) == 18


def test_storage_and_workers_do_not_matter(tmp_path: Path) -> None:
    check_storage_and_workers_do_not_matter(example_features.STEP, tmp_path)

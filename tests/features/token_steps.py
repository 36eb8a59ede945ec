"""What the tests of the token steps share: subjects of several blocks, and the law on storage and workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from precompute.features import idf
from precompute.pipeline.step import Step, StepContext
from tests.builders import Subject, random_subject, step_context

WIDE = 1030
"""Features that fill one block of a feature-major store and begin the next."""


def run_step(
    step: Step, subject: Subject, out: Path, settings: dict[str, Any] | None = None, **operations: Any
) -> StepContext:
    """Run a step over a subject, its IDF table included where the step reads it."""
    files = dict(subject.files)
    if "idf" in step.inputs:
        first = step_context(out / "idf", files)
        idf.run(first)
        files["idf.parquet"] = first.out / "idf.parquet"
    context = step_context(out, files, settings, **operations)
    step.run(context)
    return context


def contents(context: StepContext, step: Step) -> dict[str, bytes]:
    """Every byte that the step published, by file."""
    places = [context.out / output for output in step.outputs]
    files = [f for place in places for f in ([place] if place.is_file() else sorted(place.iterdir()))]
    return {str(f.relative_to(context.out)): f.read_bytes() for f in files}


def check_storage_and_workers_do_not_matter(
    step: Step, tmp_path: Path, settings: dict[str, Any] | None = None
) -> None:
    """The same bytes with 1 and 2 workers, and from npy and zarr."""
    found = []
    for backend in ("npy", "zarr"):
        subject = random_subject(
            tmp_path / backend, backend, n_examples=12, d_sae=WIDE, density=0.05, examples_per_shard=5
        )
        for workers in (1, 2):
            context = run_step(step, subject, tmp_path / f"{backend}{workers}", settings, workers=workers)
            found.append(contents(context, step))
    assert all(len(files) == len(found[0]) > 0 for files in found)
    assert found.count(found[0]) == len(found)


def row_places(subject: Subject) -> list[tuple[int, int]]:
    """Example and position of every row, one at a time."""
    n_rows = subject.rows.n_rows
    where = subject.rows.locate(np.arange(n_rows))
    return [(int(where.example[r]), int(where.position[r])) for r in range(n_rows)]

"""What every run does before its first step: checks, and what its first step reads."""

from __future__ import annotations

from collections.abc import Callable

from precompute.pipeline.origin import origin_of
from precompute.pipeline.subjects import Subject


def prepare(subject: Subject, workers: int, say: Callable[[str], None], refresh: bool = False) -> None:
    """Check what the run needs, and take the snapshot of the built-in corpus, or of a dataset.

    Raises UsageError for files or a data directory with which the run would fail.
    """
    origin = origin_of(subject.model_type)
    origin.check(subject)
    origin.prepare(subject, workers, say, refresh)

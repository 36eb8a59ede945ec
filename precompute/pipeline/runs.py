"""What every run does before its first step: checks, and the built-in corpus."""

from __future__ import annotations

from collections.abc import Callable

from precompute.corpus.snapshot import snapshot_file, take_snapshot
from precompute.pipeline.preflight import check
from precompute.pipeline.subjects import Subject


def prepare(subject: Subject, workers: int, say: Callable[[str], None], refresh: bool = False) -> None:
    """Check what the run needs, and take the snapshot of the built-in corpus where it is needed.

    Raises UsageError for a model, SAE, corpus or data directory with which the run would fail.
    """
    check(subject)
    if not subject.model_type.corpus.builtin:
        return
    if refresh or not snapshot_file(subject.data_dir).is_file():
        say("reading the documentation on this machine (the built-in corpus)")
        take_snapshot(subject.data_dir, workers, refresh)

"""What bringing steps up to date is expected to take: by the last time, or else by the size of the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from precompute.errors import LightwellError
from precompute.pipeline.origin import Size, origin_of
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.registry import steps
from precompute.pipeline.runner import UP_TO_DATE
from precompute.pipeline.subjects import Subject
from precompute.stores.row_store import RowStore

SECONDS_TO_START = 2.0
"""For a job's process to begin."""
BYTES_PER_NONZERO: Mapping[str, float] = MappingProxyType(
    {"activations": 7, "transpose": 7, "example_features": 5}
)
BYTES_PER_FEATURE: Mapping[str, float] = MappingProxyType(
    {"examples": 600, "influences": 680, "token_contexts": 1000, "coactivations": 420, "histograms": 310}
)
"""Of the larger tables, seen on the built-in types."""
BYTES_OF_OTHERS = 100
"""A feature, for every other table."""


@dataclass(frozen=True)
class Cost:
    """What a computation is expected to take."""

    steps: tuple[str, ...]
    """That are not up to date, in the order of their computation."""
    seconds: float
    n_bytes: int
    """That it will publish."""


def expected_cost(subject: Subject, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost:
    """The cost of bringing some steps, in the order of their computation, up to date."""
    known = {status.step: status for status in statuses}
    needed = [known[name] for name in names if known[name].state not in UP_TO_DATE]
    size = size_of(subject)
    seconds = sum(_seconds(status, size) for status in needed)
    n_bytes = sum(_bytes(status, size) for status in needed)
    start = SECONDS_TO_START if needed else 0.0
    return Cost(tuple(status.step for status in needed), seconds + start, round(n_bytes))


def size_of(subject: Subject) -> Size:
    """Non-zeros and features: as published, or as what they are computed from lets expect."""
    try:
        info = RowStore(subject.directory / "activations").info
        return Size(info.n_nonzero, info.d_sae)
    except (LightwellError, OSError, ValueError):
        return _guessed(subject)


def _guessed(subject: Subject) -> Size:
    try:
        return origin_of(subject.model_type).expected_size(subject)
    except (LightwellError, OSError):
        return Size(0, 0)


def _seconds(status: StepStatus, size: Size) -> float:
    if status.seconds is not None:
        return status.seconds
    return steps()[status.step].seconds_per_million * size.n_nonzero / 1e6


def _bytes(status: StepStatus, size: Size) -> float:
    if status.n_bytes:
        return status.n_bytes
    if status.step in BYTES_PER_NONZERO:
        return BYTES_PER_NONZERO[status.step] * size.n_nonzero
    return BYTES_PER_FEATURE.get(status.step, BYTES_OF_OTHERS) * size.d_sae

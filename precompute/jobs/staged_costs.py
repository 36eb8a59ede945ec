"""What vectors of texts, their neighbour graph, and what is made of it are expected to take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from precompute.jobs.costs import SECONDS_TO_START, Cost
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE

BYTES_PER_TEXT = 300
"""Of a statement or a prompt, where only their number is known."""
BYTES_PER_TOKEN = 4
BYTES_PER_WEIGHT = 4
OPERATIONS_PER_SECOND = 4e10
"""Of products of matrices, on a processor of two cores."""
SECONDS_PER_THOUSAND_LAID_OUT = 1.2
WIDTH_KEYS, USUAL_WIDTH = ("hidden_size", "n_embd", "d_model"), 768
VECTOR_STEPS, GRAPH_STEPS, MAP_STEPS = (
    frozenset({"embeddings", "prompt_embeddings"}),
    frozenset({"neighbors", "prompt_graph"}),
    frozenset({"map"}),
)
NUMBERS_KEPT: Mapping[str, int] = MappingProxyType({"neighbors": 30, "prompt_graph": 20, "map": 4})
"""A text, of four bytes each."""


@dataclass(frozen=True)
class Workload:
    """What a model is to read."""

    n_texts: float
    text_bytes: float
    weight_bytes: float
    """Of the model's files."""
    d: int
    """Width of the vectors."""

    @staticmethod
    def of(dataset: Path, limit: int | None, model: Path) -> Workload:
        """Judged by the sizes of files; of a dataset as many texts as `limit` says."""
        there = dataset.stat().st_size if dataset.is_file() else 0
        text_bytes = min(there, limit * BYTES_PER_TEXT) if limit else there
        weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
        return Workload(text_bytes / BYTES_PER_TEXT, text_bytes, weights, _width(model))


def _width(model: Path) -> int:
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        return int(next(config[key] for key in WIDTH_KEYS if key in config))
    except (OSError, ValueError, TypeError, StopIteration):
        return USUAL_WIDTH


def staged_cost(load: Workload, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
    """The cost of bringing some steps up to date; None where nothing is known of what is to be read."""
    known = {status.step: status for status in statuses}
    needed = [name for name in names if known[name].state not in UP_TO_DATE]
    if needed and not load.text_bytes:
        return None
    start = SECONDS_TO_START if needed else 0.0
    seconds = start + sum(known[name].seconds or _seconds(name, load) for name in needed)
    return Cost(tuple(needed), seconds, round(sum(_bytes(name, load) for name in needed)))


def _seconds(step: str, load: Workload) -> float:
    if step in VECTOR_STEPS:
        tokens, weights = load.text_bytes / BYTES_PER_TOKEN, load.weight_bytes / BYTES_PER_WEIGHT
        return 2 * tokens * weights / OPERATIONS_PER_SECOND
    if step in GRAPH_STEPS:
        return 2 * load.n_texts**2 * load.d / OPERATIONS_PER_SECOND
    return SECONDS_PER_THOUSAND_LAID_OUT * load.n_texts / 1000 if step in MAP_STEPS else 0.0


def _bytes(step: str, load: Workload) -> float:
    if step in VECTOR_STEPS:
        return load.n_texts * load.d * 4 + load.text_bytes
    return load.n_texts * 4 * NUMBERS_KEPT.get(step, 1)

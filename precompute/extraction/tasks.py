"""What the processes of an experiment are told to do, and how; without torch, for whoever only asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from precompute.extraction.settings import CaptureSettings, GenerationSettings, PipelineName


@dataclass(frozen=True)
class Operations:
    """How the work is done; nothing here changes a response, and vectors by rounding alone."""

    pipeline: PipelineName = "batched"
    batch_size: int | None = None
    """None is what fits."""
    device: str = "auto"


@dataclass(frozen=True)
class GenerateTask:
    """Responses of one trait, in shards; with a capture also what passes its sites."""

    trait: str
    shards: Path
    settings: GenerationSettings
    capture: CaptureSettings | None
    captured: Path


@dataclass(frozen=True)
class CaptureTask:
    """What passes sites while responses are read that are there already; shards that are there stay."""

    texts: Path
    """Shards of responses."""
    n_examples: int
    """Of both polarities together."""
    capture: CaptureSettings
    captured: Path


Task = GenerateTask | CaptureTask

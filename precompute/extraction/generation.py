"""What is asked of generation and what it gives: prompts with how to answer them, and responses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from precompute.extraction.capture import Vectors
from precompute.extraction.positions import PositionRule
from precompute.extraction.sampling import Sampling
from precompute.extraction.settings import FinishReason
from precompute.models.language_model import LanguageModel


@dataclass(frozen=True)
class Request:
    """A prompt to be answered."""

    example: int
    """Keys the noise: the same example draws the same tokens wherever it is."""
    prompt: tuple[int, ...]


@dataclass(frozen=True)
class Response:
    """What was written."""

    example: int
    prompt: tuple[int, ...]
    token_ids: tuple[int, ...]
    """Without the end-of-text token."""
    finish_reason: FinishReason
    """`stop` at the end-of-text token, `length` at the number asked for or the model's longest text."""
    near_tie: int | None
    """The first step at which rounding might have chosen another token."""
    vectors: Vectors = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """What is captured."""

    sites: tuple[str, ...] = ()
    rules: tuple[PositionRule, ...] = ()


@dataclass(frozen=True)
class Steering:
    """A vector added at a site, to every token."""

    site: str
    vector: NDArray[np.float32]
    """[d], in the units of the site."""


@dataclass(frozen=True)
class Generation:
    """How responses are written."""

    max_new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    end_tokens: frozenset[int] = frozenset()
    capture: Capture = Capture()
    steering: Steering | None = None


def longest(model: LanguageModel) -> int:
    """Tokens that the model can read at a time."""
    return int(getattr(model.config, "max_position_embeddings", 0) or 2**31)

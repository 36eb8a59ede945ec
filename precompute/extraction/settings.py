"""What a person chooses of an experiment and what changes its results; operations are apart."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from precompute.extraction.definition import Polarity

JudgeName = Literal["none", "keywords", "model", "endpoint"]
MethodName = Literal["mean_diff", "probe", "gradient", "ica"]
PipelineName = Literal["serial", "combined", "batched"]
FinishReason = Literal["stop", "length"]
METHODS: tuple[MethodName, ...] = ("mean_diff", "probe", "gradient", "ica")


class GenerationSettings(BaseModel):
    """How responses are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n_examples: int = Field(default=100, ge=1)
    """Of each polarity."""
    max_new_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=0.7, ge=0, le=100)
    top_p: float = Field(default=0.9, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**64)


class CaptureSettings(BaseModel):
    """What is captured."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sites: tuple[str, ...] = ("all",)
    """Capture sites; `all` is what every block gives."""
    positions: tuple[str, ...] = ("response[:]",)
    activations_dtype: Literal["float32", "float16"] = "float32"
    """Type in which vectors are kept; means are taken in float32."""


class JudgeSettings(BaseModel):
    """How responses are scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    judge: JudgeName = "none"
    judge_model: str | None = None
    """For `model` a directory or hub id, None being the experiment's own; for an endpoint its name there."""
    judge_url: str | None = None
    """Address of an OpenAI-compatible endpoint, up to /v1."""
    threshold: float = Field(default=50.0, ge=0, le=100)
    """Positive responses count from this score on, negative ones below it."""

    def keeps(self, polarity: Polarity, score: float | None) -> bool:
        """Whether a response enters the vectors; one that could not be scored does not."""
        if self.judge == "none":
            return True
        if score is None:
            return False
        return score >= self.threshold if polarity == "pos" else score < self.threshold


class VectorSettings(BaseModel):
    """How trait vectors are found and judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    methods: tuple[MethodName, ...] = METHODS
    layers: tuple[int, ...] | None = None
    """Layers whose output is used; None is every captured site."""
    position: str | None = None
    """Which of the captured position rules; None is the first."""
    validation_share: float = Field(default=0.3, gt=0, lt=1)
    """Of the questions; their examples enter no fit."""
    n_bootstrap: int = Field(default=1000, ge=1)
    n_random: int = Field(default=200, ge=1)
    """Random directions of the baseline."""
    vector_seed: int = Field(default=0, ge=0)
    """Of the split, the bootstrap and the random directions."""


class TraitSettings(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    generation: GenerationSettings = GenerationSettings()
    capture: CaptureSettings = CaptureSettings()
    judge: JudgeSettings = JudgeSettings()
    vectors: VectorSettings = VectorSettings()

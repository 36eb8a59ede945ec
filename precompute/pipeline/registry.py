"""Every step of the SAE job, in dependency order: the one list that the runner, the CLI and the docs read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from precompute.pipeline.step import Step

MODULES = (
    "precompute.features.corpus",
    "precompute.features.activations",
    "precompute.features.transpose",
    "precompute.features.directions",
    "precompute.features.feature_stats",
    "precompute.features.histograms",
    "precompute.features.examples",
    "precompute.features.influences",
    "precompute.features.token_influences",
    "precompute.features.logit_stats",
    "precompute.features.idf",
    "precompute.features.tfidf",
    "precompute.features.token_contexts",
    "precompute.features.token_features",
    "precompute.features.example_features",
    "precompute.features.neighbors",
    "precompute.features.coactivations",
    "precompute.features.feature_map",
    "precompute.features.sae_quality",
)
"""Modules that each hold one STEP. They import neither torch nor numba at their top."""


@cache
def steps() -> Mapping[str, Step]:
    """All steps by name, each after the ones that it reads; a name or output taken twice is refused."""
    found: dict[str, Step] = {}
    outputs: set[str] = set()
    for module in MODULES:
        step: Step = import_module(module).STEP
        late = [name for name in step.inputs if name not in found]
        if step.name in found or outputs & set(step.outputs) or late:
            raise RuntimeError(f"step {step.name!r}: duplicate name or output, or input {late} listed later")
        found[step.name] = step
        outputs.update(step.outputs)
    return MappingProxyType(found)


def owner_of(output: str) -> str:
    """The step that publishes an output file or directory."""
    return next(step.name for step in steps().values() if output in step.outputs)

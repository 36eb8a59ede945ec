"""Traits as they are published: responses, activations, vectors, read when they are asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32

from precompute.artifacts.manifest import InputEntry
from precompute.artifacts.shelf import Shelf
from precompute.errors import ArtifactMissingError, CorruptArtifactError, UsageError
from precompute.extraction.settings import METHODS
from precompute.extraction.stages import (
    ACTIVATIONS,
    ACTIVATIONS_DIRECTORY,
    GENERATION,
    INDEX_FILE,
    PROJECTIONS_FILE,
    RESPONSES,
    RESPONSES_FILE,
    STAGES,
    VECTORS,
    VECTORS_DIRECTORY,
)
from precompute.npy import open_npy


@dataclass(frozen=True)
class TraitResult:
    """The published vectors of one trait, with what they were found on."""

    directory: Path
    responses_directory: Path
    activations_directory: Path
    vectors_directory: Path

    @property
    def name(self) -> str:
        """The trait's."""
        return self.directory.name

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods by which vectors were found."""
        return tuple(m for m in METHODS if (self._vectors / f"{m}.json").is_file())

    @cached_property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """What is known of the vectors of each method."""
        return {
            m: json.loads((self._vectors / f"{m}.json").read_text(encoding="utf-8")) for m in self.methods
        }

    def summary(self, method: str) -> dict[str, Any]:
        """What is known of the vectors of a method; raises UsageError for one that was not used."""
        if method not in self.methods:
            raise UsageError(f"method {method!r}", f"one of {', '.join(self.methods)}", "choose another")
        return self.summaries[method]

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """The capture sites, in the order of the model."""
        return tuple(self.summaries[self.methods[0]]["sites"])

    @cached_property
    def _directions(self) -> dict[str, dict[str, Float32[np.ndarray, " d"]]]:
        from safetensors.numpy import load_file

        return {method: load_file(self._vectors / f"{method}.safetensors") for method in self.methods}

    def direction(self, method: str, site: str) -> Float32[np.ndarray, " d"]:
        """The vector of length 1; raises UsageError for a site that has none."""
        self.summary(method)
        if site not in self.sites:
            raise UsageError(f"site {site!r}", f"one of {', '.join(self.sites)}", "choose another")
        return self._directions[method][site]

    @cached_property
    def responses(self) -> pl.DataFrame:
        """responses.parquet."""
        return pl.read_parquet(self.responses_directory / RESPONSES_FILE)

    @cached_property
    def projections(self) -> pl.DataFrame:
        """projections.parquet."""
        return pl.read_parquet(self._vectors / PROJECTIONS_FILE)

    def activations(self, site: str, position: str) -> np.ndarray:
        """What was captured, [n_examples, d]; raises UsageError for what was not."""
        place = self.activations_directory / ACTIVATIONS_DIRECTORY
        entries = json.loads((place / INDEX_FILE).read_text(encoding="utf-8"))["arrays"]
        for entry in entries:
            if (entry["site"], entry["position"]) == (site, position):
                found: np.ndarray = open_npy(place / entry["file"])
                return found
        known = ", ".join(f"{entry['site']} at {entry['position']}" for entry in entries)
        raise UsageError(f"{site} at {position}", f"one of {known}", "choose another")

    @property
    def _vectors(self) -> Path:
        return self.vectors_directory / VECTORS_DIRECTORY


def open_trait(directory: Path | str) -> TraitResult:
    """Open a trait's directory.

    Raises ArtifactMissingError where a stage is missing, or belongs to other inputs than the one after it was
    computed from, and CorruptArtifactError for damage to be seen.
    """
    shelf = Shelf(Path(directory))
    manifests = {stage.name: shelf.manifest(stage.name) for stage in STAGES}
    for name, found in manifests.items():
        if found is None:
            raise _incomplete(shelf.directory, "no trait vectors" if name == VECTORS.name else f"no {name}")
        if damage := shelf.damage(name):
            raise CorruptArtifactError(
                f"{directory}: {damage[0]}; run `python -m precompute.extraction run` again"
            )
    pairs = ((GENERATION, RESPONSES), (GENERATION, ACTIVATIONS), (RESPONSES, VECTORS), (ACTIVATIONS, VECTORS))
    for first, second in pairs:
        before, after = manifests[first.name], manifests[second.name]
        assert before is not None
        assert after is not None
        if after.inputs.get(first.name) != InputEntry(fingerprint=before.fingerprint, digest=before.digest):
            raise _incomplete(shelf.directory, f"{second.name} of other inputs than {first.name}")
    places = [shelf.current(stage.name) for stage in (RESPONSES, ACTIVATIONS, VECTORS)]
    return TraitResult(shelf.directory, *places)


def _incomplete(directory: Path, found: str) -> ArtifactMissingError:
    experiment, trait = directory.parent.name, directory.name
    command = f"python -m precompute.extraction run --experiment {experiment} --traits {trait}"
    return ArtifactMissingError(f"{found} in {directory}; run: {command}")

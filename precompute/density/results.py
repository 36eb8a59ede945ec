"""Density weights as they are published: written by the last stage, read by sampler and notebook."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from precompute.artifacts.manifest import InputEntry
from precompute.artifacts.shelf import Shelf
from precompute.density.encoding import GROUPS_FILE, PROMPTS_FILE, VECTORS_FILE, EncoderRecord
from precompute.density.neighbors import (
    COSINES_FILE,
    DISTANCES_FILE,
    NEIGHBORS_FILE,
    RECORD_FILE,
    read_array,
)
from precompute.density.prompts import read_prompts
from precompute.density.stages import EMBEDDINGS, GRAPH, WEIGHTS
from precompute.density.weights import WeightSettings, distinct_weights, effective_sample_size, row_weights
from precompute.errors import ArtifactMissingError, CorruptArtifactError
from precompute.npy import open_npy

WEIGHTS_FILE, METADATA_FILE = "density_weights.npy", "embeddings_metadata.json"


def write_weights(embeddings: Path, graph: Path, chosen: WeightSettings, out: Path) -> None:
    """Write density_weights.npy float32 [n_prompts] and embeddings_metadata.json from the stages before."""
    groups = open_npy(embeddings / GROUPS_FILE, mapped=False)
    distances = open_npy(graph / DISTANCES_FILE, mapped=False)
    weights = row_weights(distinct_weights(distances, chosen), groups)
    np.save(out / WEIGHTS_FILE, weights)
    vectors = open_npy(embeddings / VECTORS_FILE)
    found = json.loads((graph / RECORD_FILE).read_text(encoding="utf-8"))
    record = metadata(
        weights, vectors, EncoderRecord.read(embeddings), found, chosen, n_distinct=len(distances)
    )
    (out / METADATA_FILE).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def metadata(
    weights: Float32[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    encoder: EncoderRecord,
    graph: dict[str, Any],
    chosen: WeightSettings,
    *,
    n_distinct: int,
) -> dict[str, Any]:
    """The record beside the weights."""
    wide = weights.astype(np.float64)
    return {
        "n_prompts": len(weights),
        "embedding_dim": int(vectors.shape[1]),
        "embedding_dtype": str(vectors.dtype),
        "weights_dtype": str(weights.dtype),
        "model_vocab_size": encoder.model_vocab_size,
        "model_n_embd": encoder.model_n_embd,
        "normalization": encoder.normalization,
        "weights_min": float(wide.min()),
        "weights_max": float(wide.max()),
        "weights_mean": float(wide.mean()),
        "weights_std": float(wide.std()),
        "k": graph["k"],
        "metric": graph["metric"],
        "model": encoder.model,
        "model_fingerprint": encoder.model_fingerprint,
        "alpha": chosen.alpha,
        "cap": chosen.cap,
        "mix": chosen.mix,
        "favor": chosen.favor,
        "effective_sample_size": effective_sample_size(weights),
        "n_distinct": n_distinct,
        "index_recall": graph["recall"],
    }


@dataclass(frozen=True)
class DensityResult:
    """The published weights of a set of prompts, with what they were computed from; read when asked for."""

    embeddings_directory: Path
    graph_directory: Path
    weights_directory: Path

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What is known of the weights."""
        text = (self.weights_directory / METADATA_FILE).read_text(encoding="utf-8")
        record: dict[str, Any] = json.loads(text)
        return record

    @cached_property
    def weights(self) -> Float32[np.ndarray, " n_prompts"]:
        """The chance of each prompt to be drawn."""
        array: np.ndarray = read_array(self.weights_directory / WEIGHTS_FILE)
        return array

    @cached_property
    def embeddings(self) -> Float32[np.ndarray, "n_prompts d"]:
        """The vector of each prompt."""
        array: np.ndarray = read_array(self.embeddings_directory / VECTORS_FILE)
        return array

    @cached_property
    def groups(self) -> Int64[np.ndarray, " n_prompts"]:
        """The number of each prompt's distinct text."""
        array: np.ndarray = read_array(self.embeddings_directory / GROUPS_FILE)
        return array

    @cached_property
    def neighbors(self) -> Int32[np.ndarray, "n_distinct k"]:
        """The nearest other distinct texts of each, nearest first."""
        array: np.ndarray = read_array(self.graph_directory / NEIGHBORS_FILE)
        return array

    @cached_property
    def cosines(self) -> Float64[np.ndarray, "n_distinct k"]:
        """Their cosines."""
        array: np.ndarray = read_array(self.graph_directory / COSINES_FILE)
        return array

    @cached_property
    def distances(self) -> Float64[np.ndarray, " n_distinct"]:
        """The mean cosine distance of each distinct text to its neighbours."""
        array: np.ndarray = read_array(self.graph_directory / DISTANCES_FILE)
        return array

    def prompts(self) -> list[str]:
        """All prompts, in their order."""
        return list(read_prompts(self.embeddings_directory / PROMPTS_FILE))


def open_density(directory: Path | str) -> DensityResult:
    """Open the output directory of `python -m precompute.density`.

    Raises ArtifactMissingError where a stage is missing, or belongs to other inputs than the one after it
    was computed from: a run that was stopped in between goes on when it is started again.
    """
    shelf = Shelf(Path(directory))
    manifests = [shelf.manifest(stage.name) for stage in (EMBEDDINGS, GRAPH, WEIGHTS)]
    embeddings, graph, weights = manifests
    if embeddings is None or graph is None or weights is None:
        raise _incomplete(shelf.directory, "no density weights")
    for stage in (EMBEDDINGS, GRAPH, WEIGHTS):
        if damage := shelf.damage(stage.name):
            raise CorruptArtifactError(f"{directory}: {damage[0]}; run `python -m precompute.density` again")
    for before, after in ((embeddings, graph), (graph, weights)):
        entry = InputEntry(fingerprint=before.fingerprint, digest=before.digest)
        if after.inputs.get(before.step) != entry:
            raise _incomplete(shelf.directory, f"{after.step} of other inputs than {before.step}")
    return DensityResult(*(shelf.current(stage.name) for stage in (EMBEDDINGS, GRAPH, WEIGHTS)))


def _incomplete(directory: Path, found: str) -> ArtifactMissingError:
    return ArtifactMissingError(
        f"{found} in {directory}; expected the output of `python -m precompute.density`; "
        f"run it with --output-dir {directory}"
    )

"""Output directories made from vectors that a test chooses, without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from precompute.artifacts.shelf import Shelf
from precompute.density.encoding import EncoderRecord, encode_prompts, take_prompts
from precompute.density.neighbors import SearchSettings
from precompute.density.plan import compute, weights_from
from precompute.density.results import DensityResult
from precompute.density.stages import EMBEDDINGS
from precompute.density.weights import WeightSettings
from precompute.pipeline.stages import Stage, Wanted
from precompute.progress import Progress, Silent


class MadeEncoder:
    """Gives each text the unit vector that a test chose for it, and counts what it is asked."""

    d_vocab, d_model, pooling = 330, 32, "mean"

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors
        self.d = len(next(iter(vectors.values())))
        self.n_encoded = 0

    def encode(self, texts, token_budget=None, batch_size=None, advance=None) -> np.ndarray:
        self.n_encoded += len(texts)
        if advance:
            advance(len(texts))
        found = np.array([self._vectors[text] for text in texts], dtype=np.float64)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


class Unwatched:
    """A reporter that remembers which stages ran."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.reasons: list[str] = []

    def started(self, stage: Stage, reason: str) -> Progress:
        self.stages.append(stage.name)
        self.reasons.append(reason)
        return Silent()

    def ended(self, stage: Stage) -> None:
        pass


def write_jsonl(path: Path, texts: Sequence[str], column: str = "prompt") -> Path:
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts), encoding="utf-8")
    return path


def embedded(texts: Sequence[str], encoder: MadeEncoder, mark: str = "made") -> Wanted:
    def run(out: Path, progress: Progress) -> None:
        groups = take_prompts(texts, out)
        EncoderRecord(mark, mark, encoder.d_vocab, encoder.d_model).write(out)
        encode_prompts(groups, encoder, None, out, progress)

    return Wanted(EMBEDDINGS, run, sources={"texts": list(texts), "encoder": mark})


def computed(
    out: Path,
    texts: Sequence[str],
    encoder: MadeEncoder,
    k: int = 10,
    weighing: WeightSettings | None = None,
    exact_operations: float = 1e13,
    watch: Unwatched | None = None,
) -> DensityResult:
    shelf = Shelf(out)
    search = SearchSettings(k, exact_operations)
    wanted = weights_from(shelf, embedded(texts, encoder), search, weighing or WeightSettings(), 1)
    return compute(shelf, wanted, watch or Unwatched())


def drawn(n: int, d: int = 12, seed: int = 0, n_distinct: int | None = None) -> tuple[list[str], MadeEncoder]:
    """Texts, some of them equal, with random vectors."""
    draw = np.random.default_rng(seed)
    names = [f"text {i}" for i in range(n_distinct or n)]
    encoder = MadeEncoder({name: draw.normal(size=d) + 1 for name in names})
    chosen = draw.integers(0, len(names), n) if n_distinct else np.arange(n)
    return [names[i] for i in chosen], encoder

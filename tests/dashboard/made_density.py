"""Density weights for the dashboard's tests, made by the program's own stages from random vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from precompute.artifacts.shelf import Shelf
from precompute.density.encoding import GROUPS_FILE, VECTORS_FILE, EncoderRecord, take_prompts
from precompute.density.neighbors import SearchSettings
from precompute.density.plan import compute, weights_from
from precompute.density.stages import EMBEDDINGS
from precompute.density.weights import WeightSettings
from precompute.pipeline.stages import Wanted
from precompute.progress import Silent

N_DISTINCT = 60
CHOSEN = WeightSettings(alpha=1.5, cap=4)


class Quiet:
    """Tells nobody."""

    def started(self, *_: object) -> Silent:
        return Silent()

    def ended(self, *_: object) -> None:
        """Nothing."""


def make_density(data_dir: Path) -> None:
    """Weights of random vectors, every third text twice, by the program's own stages but for the model."""
    texts = [f"prompt <b>number {i}</b>" for i in range(N_DISTINCT)]
    prompts = [*texts, *texts[::3], texts[0]]

    def encode(out: Path, _progress: Any) -> None:
        take_prompts(prompts, out)
        draw = np.random.default_rng(0)
        vectors = draw.normal(size=(N_DISTINCT, 6)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(out / VECTORS_FILE, vectors[np.load(out / GROUPS_FILE)])
        EncoderRecord("base", "f" * 64, 10, 6).write(out)

    shelf = Shelf(data_dir / "density" / "base")
    wanted = Wanted(EMBEDDINGS, encode)
    compute(shelf, weights_from(shelf, wanted, SearchSettings(k=4), CHOSEN, 1), Quiet())

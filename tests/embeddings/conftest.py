"""One tiny model directory and dataset for all tests here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from precompute.command_line import run_command
from precompute.embeddings.__main__ import main
from tests.embeddings.reference import reference_vectors
from tests.embeddings.tiny_embedder import make_dataset, make_embedder


@dataclass(frozen=True)
class Embedder:
    """A model directory of 101 texts with the vectors that they must have."""

    directory: Path
    dataset: Path
    texts: list[str]
    vectors: np.ndarray
    """Of the independent reference."""

    def run(self, *arguments: str, model: Path | None = None) -> int:
        base = ["--model-dir", str(model or self.directory), "--dataset", str(self.dataset)]
        return run_command(main, [*base, "--device", "cpu", *arguments])


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """Not to be changed."""
    root = tmp_path_factory.mktemp("embedder")
    directory = make_embedder(root / "model")
    texts = make_dataset(root / "texts.jsonl")
    return Embedder(directory, root / "texts.jsonl", texts, reference_vectors(directory, texts))


@pytest.fixture
def embedder(pristine: Embedder, tmp_path: Path) -> Embedder:
    """A copy to work in, with nothing computed."""
    shutil.copytree(pristine.directory, tmp_path / "model")
    shutil.copy(pristine.dataset, tmp_path / "texts.jsonl")
    return Embedder(tmp_path / "model", tmp_path / "texts.jsonl", pristine.texts, pristine.vectors)

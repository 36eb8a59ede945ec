"""Model types of imported stores, for tests: the stores of both layouts, an SAE, a vocabulary, the TOML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from precompute.command_line import run_command
from precompute.progress import Silent
from precompute.reading import Artifacts, open_artifacts
from precompute.stores.importing import import_store
from precompute.unified import main
from tests.stores.foreign_stores import D_IN, D_SAE, dense, save_batches, save_neuron_acts
from tests.tiny import make_sae

N_ROWS = 600
NAMES = [f"ability_{number}" for number in range(40)]
CONFIG = """
[model_types.splat]
store = "batches"
sae = "sae"
tokenizer = "vocab.json"
storage = "zarr"

[model_types.bare]
store = "folders"
"""


@dataclass(frozen=True)
class ImportedFiles:
    """Two stores of the same activations: `splat` with tokens, metadata and an SAE, `bare` without."""

    root: Path
    acts: np.ndarray

    @property
    def config(self) -> Path:
        """The TOML."""
        return self.root / "my.toml"

    def run(self, name: str, *arguments: str) -> int:
        """Run the orchestrator on a model type; returns its exit code."""
        base = ["--model-type", name, "--config", str(self.config), "--data-dir", str(self.root / "data")]
        return run_command(main, [*base, *arguments])

    def artifacts(self, name: str) -> Artifacts:
        """What is computed of a model type."""
        return open_artifacts(name, self.root / "data", self.config)

    def states(self, name: str) -> dict[str, str]:
        """The state of each step."""
        return {status.step: status.state for status in self.artifacts(name).status()}


def make_imported(root: Path, n_rows: int = N_ROWS) -> ImportedFiles:
    """Write everything; nothing is computed."""
    acts = dense(n_rows)
    acts[:, 3] = 0  # A feature that never fires.
    save_batches(root / "source_a", acts, [0, n_rows // 2, n_rows])
    save_neuron_acts(root / "source_b", acts)
    for source, store in (("source_a", "batches"), ("source_b", "folders")):
        import_store(root / source, root / store, "npy", None, None, Silent())
    make_sae(root / "sae", D_IN, D_SAE)
    (root / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(NAMES)}))
    (root / "my.toml").write_text(CONFIG)
    return ImportedFiles(root, acts)

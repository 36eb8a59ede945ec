"""Sweeps by name, as jobs and pages know them: a text autoencoder of the configuration, and a preset."""

from __future__ import annotations

from pathlib import Path

from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.corpus.snapshot import snapshot_file
from precompute.pipeline.plan import StepStatus
from precompute.sweeps.composing import composed
from precompute.sweeps.plan import RUNS, STEP, SUMMARY, SweepPlan
from precompute.sweeps.run import status
from precompute.sweeps.settings import SweepSettings, sweep_settings

RESULTS = "eval_results"
"""In the data directory."""


def stem_of(autoencoder: str, preset: str) -> str:
    """The name of the results."""
    return f"{autoencoder}-{preset}"


def shelf_of(data_dir: Path, autoencoder: str, preset: str) -> Shelf:
    """Where the results are published."""
    return Shelf(data_dir / RESULTS / RUNS / stem_of(autoencoder, preset))


def settings_of(
    data_dir: Path, config: Path | None, autoencoder: str, preset: str, workers: int | None = None
) -> SweepSettings:
    """The settings of a preset, on an autoencoder and its texts."""
    chosen = load_config(config).autoencoders[autoencoder]
    found = composed([f"eval={preset}"])
    data = {"dataset": chosen.dataset, "text_column": chosen.text_column} if chosen.dataset else found["data"]
    named = {
        "checkpoint_path": chosen.checkpoint,
        "output_dir": RESULTS,
        "output_file": f"{stem_of(autoencoder, preset)}.json",
    }
    machine = {**found.get("machine", {}), "data_dir": str(data_dir), "workers": workers}
    return sweep_settings({"eval": {**found.get("eval", {}), **named}, "data": data, "machine": machine})


def status_of(data_dir: Path, config: Path | None, autoencoder: str, preset: str) -> StepStatus:
    """Whether the results are there and up to date; looking computes nothing, and takes no snapshot."""
    plan = SweepPlan.of(settings_of(data_dir, config, autoencoder, preset))
    if plan.dataset.path is None and not snapshot_file(data_dir).exists():
        return StepStatus(STEP, SUMMARY, "missing", "not computed yet", 0, None, None)
    return status(plan)

"""The programs of the comparison as commands, each run in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peer_runs.material import CONFIG, DATA, NAME
from benchmarks.watch import Ran, run_watched
from precompute.errors import UsageError
from precompute.pipeline.plan import TIMES_DIRECTORY
from precompute.pipeline.registry import steps
from precompute.stores.row_store import RowStore

MAP, QUALITY = "feature_map", "sae_quality"
"""Lightwell's steps that are timed apart."""
EVERYTHING = "Lightwell, every artifact"
FLOORS = {
    False: "bare pass up to the SAE's layer, and encoding",
    True: "bare pass through all layers, and encoding",
}
"""Names of the bare passes, by whether they go on behind the SAE's layer."""
SCRIPTS = Path(__file__).parents[1] / "peer_scripts"
VERSIONS = {"sae-dashboard": "0.8", "eai-delphi": "0.1", "numpy": "1.", "pyarrow": "21."}
"""What the peers' environment must hold: packages, and how their versions begin."""
LEFT_BEHIND = ("neuronpedia", "cached_activations", "features.html", "latents")
"""What the peers write; with it in place they would skip work."""


@dataclass(frozen=True)
class Line:
    """One program's run."""

    name: str
    seconds: float
    """Of the whole process, from its start to its end."""
    work_seconds: float | None
    """Of what it says of itself, starting and imports left out."""
    cpu_seconds: float
    resident_mb: float
    """Memory at its height, with mapped files and with all processes below it."""
    anonymous_mb: float
    """The same without mapped files."""
    n_nonzero: int | None = None
    """Activations that it counted: what all must agree in, but for rounding."""
    output_mb: float | None = None


def line(name: str, ran: Ran, said: dict[str, Any]) -> Line:
    """A run, and what the program said of itself."""
    size = said.get("output_bytes")
    return Line(
        name=name,
        seconds=ran.seconds,
        work_seconds=said.get("seconds"),
        cpu_seconds=ran.cpu_seconds,
        resident_mb=ran.resident / 1e6,
        anonymous_mb=ran.anonymous / 1e6,
        n_nonzero=said.get("n_nonzero"),
        output_mb=None if size is None else size / 1e6,
    )


def floor(root: Path, batch: int, all_layers: bool) -> Line:
    """The bare forward pass and encoding product."""
    command = [sys.executable, "-m", "benchmarks.peer_runs.floor", str(root), "--batch", str(batch)]
    ran = run_watched([*command, *(["--all-layers"] if all_layers else [])])
    return line(FLOORS[all_layers], ran, last_json(ran))


def lightwell(root: Path, name: str, options: Sequence[str]) -> Line:
    """`precompute.unified` with some options, over what is there already."""
    command = [sys.executable, "-m", "precompute.unified", "--model-type", NAME]
    ran = run_watched([*command, *place(root), *options])
    seconds = sum(step_seconds(root).get(step, 0.0) for step in computed(options))
    store, directory = RowStore(root / DATA / "activations"), root / DATA
    files = [file for file in directory.rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files)
    return line(name, ran, {"seconds": seconds, "n_nonzero": store.info.n_nonzero, "output_bytes": size})


def everything(root: Path, workers: int) -> Line:
    """Every artifact of the SAE job but the map and the quality, from nothing."""
    shutil.rmtree(root / "data", ignore_errors=True)
    options = ["--skip", f"{MAP},{QUALITY}", "--workers", str(workers)]
    return lightwell(root, EVERYTHING, options)


def apart(root: Path, step: str, workers: int) -> Line:
    """A step that is timed apart, after everything else."""
    return lightwell(root, f"Lightwell, {step}", ["--only", step, "--workers", str(workers)])


def place(root: Path) -> list[str]:
    """Options that say where the material lies."""
    return ["--config", str(root / CONFIG), "--data-dir", str(root / "data")]


def computed(options: Sequence[str]) -> list[str]:
    """The steps that `--only` or `--skip` leave."""
    named = options[1].split(",")
    return named if options[0] == "--only" else [step for step in steps() if step not in named]


def step_seconds(root: Path) -> dict[str, float]:
    """What each step took, as the runner noted it."""
    notes = (root / DATA / TIMES_DIRECTORY).glob("*.json")
    taken = {note.stem: float(json.loads(note.read_text())["seconds"]) for note in notes}
    return {step: taken[step] for step in steps() if step in taken}


def reading(root: Path, n_features: int, n_dense: int) -> list[dict[str, Any]]:
    """Milliseconds of one feature from three stores."""
    counts = ["--features", str(n_features), "--dense-features", str(n_dense)]
    command = [sys.executable, "-m", "benchmarks.peer_runs.reading", str(root), *counts]
    found: list[dict[str, Any]] = last_json(run_watched(command))
    return found


def peer(root: Path, python: Path, name: str, script: str, number: int) -> Line:
    """One of the peers' scripts, inside the material's directory; what an earlier run left is removed."""
    for left in LEFT_BEHIND:
        path = root / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    dataset = root / "dataset"
    dataset.mkdir(exist_ok=True)
    shutil.copyfile(root / "tokens.parquet", dataset / "train.parquet")
    # The hub is out of reach, and Python's own files of this repository out of sight.
    env = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(root.resolve() / "hub"),
        "WANDB_MODE": "disabled",
    }
    env.pop("PYTHONPATH", None)
    ran = run_watched([str(python), str(SCRIPTS / script), str(number)], cwd=root, env=env)
    return line(name, ran, last_json(ran))


def peer_versions(python: Path) -> dict[str, str]:
    """Versions of the peers' packages; raises UsageError in one line where something is missing."""
    ask = "import importlib.metadata as m, json, sys; " + (
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    remedy = "make it as benchmarks/README.md says"
    try:
        said = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(f"--peers-python {python}, which does not run", "a Python", remedy) from None
    installed = {name.replace("_", "-"): version for name, version in json.loads(said).items()}
    for package, begin in VERSIONS.items():
        found = installed.get(package, "none")
        if not found.startswith(begin):
            raise UsageError(f"{package} {found} in the environment of {python}", f"{begin}*", remedy)
    kept = (*VERSIONS, "sae-lens", "transformer-lens", "transformers", "torch")
    return {package: installed[package] for package in kept if package in installed}


def last_json(ran: Ran) -> Any:
    """What a program said last."""
    return json.loads(ran.said.strip().splitlines()[-1])

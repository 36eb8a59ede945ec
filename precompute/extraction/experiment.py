"""Experiments as folders: DATA/experiments/EXPERIMENT/TRAIT/, with the model that the configuration names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from precompute.artifacts.digests import DigestCache
from precompute.artifacts.shelf import Shelf
from precompute.config import Config, ExperimentModel
from precompute.errors import UsageError
from precompute.extraction.definition import DEFINITION_FILE
from precompute.models.language_model import resolve_model_directory
from precompute.pipeline.sources import model_digest

EXPERIMENTS = "experiments"
"""In the data directory."""
DEMO = "demo"
DEMO_TRAITS = Path(__file__).resolve().parent.parent / "demo" / "traits"
"""Definitions of the traits that the experiment `demo` begins with."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
MODEL_FILE = "experiment.json"
"""The model of an experiment that no configuration names."""


@dataclass(frozen=True)
class Experiment:
    """A folder of traits, and the model that they are traits of."""

    name: str
    directory: Path
    model: ExperimentModel

    def traits(self) -> list[str]:
        """The traits that are defined."""
        there = {path.parent.name for path in self.directory.glob(f"*/{DEFINITION_FILE}")}
        builtin = {path.stem for path in DEMO_TRAITS.glob("*.json")} if self.name == DEMO else set()
        return sorted(there | builtin)

    def chosen(self, asked: Iterable[str]) -> list[str]:
        """The traits asked for, or all; raises UsageError for one that there is not."""
        known, wanted = self.traits(), list(dict.fromkeys(asked))
        for name in wanted:
            if name not in known:
                place = self.directory / name / DEFINITION_FILE
                raise UsageError(
                    f"unknown trait {name!r} of the experiment {self.name!r}",
                    f"one of {', '.join(known) or 'none yet'}",
                    f"correct --traits, or write {place}",
                )
        if not known:
            raise UsageError(
                f"no trait in {self.directory}",
                f"TRAIT/{DEFINITION_FILE}",
                "write one, or correct --experiment",
            )
        return wanted or known

    def trait(self, name: str) -> Path:
        """The directory of a trait, in which a trait of the demo is defined if it is not yet."""
        directory = self.directory / name
        source = DEMO_TRAITS / f"{name}.json"
        if self.name == DEMO and source.is_file() and not (directory / DEFINITION_FILE).is_file():
            directory.mkdir(parents=True, exist_ok=True)
            staging = directory / f".tmp-{DEFINITION_FILE}"
            shutil.copyfile(source, staging)
            staging.replace(directory / DEFINITION_FILE)
        return directory

    def shelf(self, name: str) -> Shelf:
        """Where a trait's artifacts are published."""
        return Shelf(self.directory / name)

    def model_identity(self, cache: DigestCache) -> dict[str, Any]:
        """What determines the model's answers, by content."""
        model = self.model
        return identity(model.model, model.revision, model.adapter, cache) | {"dtype": model.dtype}


def trait_directory(data_dir: Path, experiment: str, trait: str) -> Path:
    """Where a trait's definition and artifacts are."""
    return data_dir / EXPERIMENTS / experiment / trait


def defined_traits(data_dir: Path | None, config: Config) -> list[tuple[str, str]]:
    """Experiment and name of every trait that is defined and whose model is known."""
    names = set(config.experiments)
    if data_dir is not None:
        names |= {path.parent.name for path in (data_dir / EXPERIMENTS).glob(f"*/{MODEL_FILE}")}
    found = []
    for name in sorted(names):
        place = (data_dir or Path(os.devnull)) / EXPERIMENTS / name
        model = config.experiments.get(name) or ExperimentModel(model="")
        found += [(name, trait) for trait in Experiment(name, place, model).traits()]
    return found


def identity(model: str, revision: str | None, adapter: str | None, cache: DigestCache) -> dict[str, Any]:
    """Weights, tokenizer and adapter of a model, by content."""
    found: dict[str, Any] = {
        "model": model_digest(resolve_model_directory(model, revision), cache),
        "adapter": None,
    }
    if adapter is not None:
        from precompute.models.adapter import resolve_adapter_directory

        found["adapter"] = model_digest(resolve_adapter_directory(adapter), cache)
    return found


def open_experiment(data_dir: Path, config: Config, name: str, model: str | None = None) -> Experiment:
    """The experiment of that name; `model` takes the place of what the configuration names.

    Raises UsageError for a name that is no name, or an experiment whose model nobody has named.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"experiment {name!r}", "letters, digits, '_', '-' and '.'", "correct --experiment")
    directory, known = data_dir / EXPERIMENTS / name, config.experiments.get(name)
    if model is not None and known is not None:
        raise UsageError(
            f"--model for the experiment {name!r}, whose model the configuration names",
            "another experiment",
            "leave --model out, or choose another --experiment",
        )
    if known is None and model is not None:
        place = Path(model).expanduser()
        known = ExperimentModel(model=str(place.resolve()) if place.is_dir() else model)
    known = known or _kept_model(directory)
    if known is None:
        named = ", ".join(sorted(config.experiments))
        raise UsageError(
            f"experiment {name!r} whose model is not known",
            f"one of {named}, or a model",
            f'pass --model, or add model = "PATH" to [experiments.{name}] and pass --config',
        )
    return Experiment(name, directory, known)


def keep_model(experiment: Experiment) -> None:
    """Let later commands and the dashboard know the model of an experiment."""
    experiment.directory.mkdir(parents=True, exist_ok=True)
    staging = experiment.directory / f".tmp-{MODEL_FILE}"
    staging.write_text(experiment.model.model_dump_json(indent=1) + "\n", encoding="utf-8")
    staging.replace(experiment.directory / MODEL_FILE)


def _kept_model(directory: Path) -> ExperimentModel | None:
    path = directory / MODEL_FILE
    try:
        return ExperimentModel.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, UnicodeDecodeError):
        raise UsageError(
            f"{path} that cannot be read", "the model of the experiment", "pass --model"
        ) from None

"""What is to be computed for a trait: responses, scores, activations, vectors, each from those before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from precompute.artifacts.digests import DigestCache, text_digest
from precompute.artifacts.manifest import canonical_json, fingerprint
from precompute.artifacts.shelf import SHORT, Shelf
from precompute.errors import UsageError
from precompute.extraction.definition import TraitDefinition, examples_of, read_definition
from precompute.extraction.experiment import Experiment
from precompute.extraction.positions import parse_rules
from precompute.extraction.settings import (
    CaptureSettings,
    GenerationSettings,
    TraitSettings,
)
from precompute.extraction.shards import (
    SEPARATOR,
    read_arrays,
    read_responses,
    shard_borders,
    shard_path,
)
from precompute.extraction.stages import (
    ACTIVATIONS,
    ACTIVATIONS_DIRECTORY,
    GENERATED_FILE,
    GENERATED_SHARDS,
    GENERATION,
    INDEX_FILE,
    RESPONSES,
    RESPONSES_FILE,
    STAGES,
    VECTORS,
    VECTORS_DIRECTORY,
)
from precompute.extraction.tasks import CaptureTask, GenerateTask
from precompute.models.language_model import resolve_model_directory
from precompute.models.preflight import check_hook_name, n_layers_of
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.stages import Reporter, Wanted, bring_up_to_date, status_of
from precompute.progress import Progress

if TYPE_CHECKING:
    from precompute.extraction.crew import Crew


@dataclass(frozen=True)
class TraitPlan:
    """The stages of one trait as they should be."""

    generation: Wanted
    responses: Wanted
    activations: Wanted
    vectors: Wanted

    def stage(self, name: str) -> Wanted:
        """By the name of its stage."""
        every = (self.generation, self.responses, self.activations, self.vectors)
        return next(wanted for wanted in every if wanted.stage.name == name)


@dataclass(frozen=True)
class Trait:
    """One trait of an experiment, at its place."""

    experiment: Experiment
    name: str
    cache: DigestCache

    @property
    def directory(self) -> Path:
        """Where its definition and artifacts are; the definition of a demo trait is put there."""
        return self.experiment.trait(self.name)

    @property
    def shelf(self) -> Shelf:
        """Its artifacts."""
        return self.experiment.shelf(self.name)

    def published_settings(self) -> dict[str, dict[str, Any]]:
        """The settings of what is published, by group."""
        groups = {"generation": GENERATION, "judge": RESPONSES, "capture": ACTIVATIONS, "vectors": VECTORS}
        manifests = {group: self.shelf.manifest(stage.name) for group, stage in groups.items()}
        return {group: dict(found.settings) for group, found in manifests.items() if found}

    def settings(self, given: Mapping[str, Mapping[str, Any]] | None = None) -> TraitSettings:
        """What is given, over what is published, over the usual ones."""
        known, given = self.published_settings(), given or {}
        merged = {name: {**known.get(name, {}), **given.get(name, {})} for name in TraitSettings.model_fields}
        return TraitSettings.model_validate(merged)


def plan_of(trait: Trait, chosen: TraitSettings, crew: Crew | None, capture: bool = True) -> TraitPlan:
    """The stages of a trait; with `capture`, generation captures what activations will need.

    Without a crew, which loads the model, states can be judged but nothing computed.

    Raises UsageError for a definition, model or judge that cannot be used.
    """
    from precompute.extraction.judges import check_judge, judge_identity, score_responses
    from precompute.extraction.vectors import write_vectors

    definition, shelf = read_definition(trait.directory), trait.shelf
    check_judge(chosen.judge, definition)
    parse_rules(chosen.capture.positions)
    _check_split(definition, chosen)
    shown = definition.model_dump(mode="json", include={"instructions", "questions"})
    sources = {"model": trait.experiment.model_identity(trait.cache), "prompts": _digest(shown)}

    def generate(out: Path, progress: Progress) -> None:
        assert crew is not None
        asked = chosen.capture if capture and crew.operations.pipeline != "serial" else None
        place = captured_directory(shelf, generation, chosen.capture)
        task = GenerateTask(trait.name, out / GENERATED_SHARDS, chosen.generation, asked, place)
        crew.team.lead(task, progress)
        write_generated(definition, chosen.generation, crew, out)

    generation = Wanted(GENERATION, generate, chosen.generation.model_dump(mode="json"), sources)

    def score(out: Path, progress: Progress) -> None:
        assert crew is not None
        table = pl.read_parquet(shelf.current(GENERATION.name) / GENERATED_FILE)
        scored = score_responses(table, definition, chosen.judge, crew, progress)
        scored.write_parquet(out / RESPONSES_FILE)

    judged = chosen.judge.model_dump(mode="json")
    responses = Wanted(
        RESPONSES, score, judged, judge_identity(chosen.judge, definition, trait.cache), (generation,)
    )

    def capture_all(out: Path, progress: Progress) -> None:
        assert crew is not None
        place = captured_directory(shelf, generation, chosen.capture)
        texts = shelf.current(GENERATION.name) / GENERATED_SHARDS
        task = CaptureTask(texts, 2 * chosen.generation.n_examples, chosen.capture, place)
        crew.team.lead(task, progress)
        write_activations(place, task.n_examples, chosen.capture, out / ACTIVATIONS_DIRECTORY)

    activations = Wanted(ACTIVATIONS, capture_all, chosen.capture.model_dump(mode="json"), {}, (generation,))

    def find(out: Path, progress: Progress) -> None:
        write_vectors(
            shelf.current(RESPONSES.name) / RESPONSES_FILE,
            shelf.current(ACTIVATIONS.name) / ACTIVATIONS_DIRECTORY,
            chosen.vectors,
            out / VECTORS_DIRECTORY,
            progress,
        )

    settings = chosen.vectors.model_dump(mode="json")
    vectors = Wanted(VECTORS, find, settings, {}, (responses, activations))
    return TraitPlan(generation, responses, activations, vectors)


def compute(trait: Trait, wanted: Wanted, reporter: Reporter, force: bool = False) -> None:
    """Bring a stage up to date, after those that it reads, and remove what nobody needs any more."""
    shelf = trait.shelf
    shelf.directory.mkdir(parents=True, exist_ok=True)
    bring_up_to_date(shelf, wanted, reporter, force)
    if wanted.stage in (ACTIVATIONS, VECTORS):
        for left in shelf.directory.glob(".captured-*"):
            shutil.rmtree(left)
    shelf.collect_garbage([stage.name for stage in STAGES])


def statuses(trait: Trait, plan: TraitPlan) -> tuple[StepStatus, ...]:
    """The state of every stage, in order."""
    every = (plan.generation, plan.responses, plan.activations, plan.vectors)
    return tuple(status_of(trait.shelf, wanted) for wanted in every)


def captured_directory(shelf: Shelf, generation: Wanted, chosen: CaptureSettings) -> Path:
    """Where vectors that generation captured wait for their stage."""
    mark = fingerprint("captured", 1, chosen.model_dump(mode="json"), {"generation": generation.fingerprint})
    return shelf.directory / f".captured-{mark[:SHORT]}"


def write_generated(definition: TraitDefinition, chosen: GenerationSettings, crew: Crew, out: Path) -> None:
    """generated.parquet: one row a response, in the order of the examples."""
    examples = examples_of(definition, chosen.n_examples)
    shards = [
        read_responses(shard_path(out / GENERATED_SHARDS, number))
        for number in range(len(shard_borders(len(examples))))
    ]
    prompts = [ids for shard in shards for ids in shard.prompts]
    responses = [ids for shard in shards for ids in shard.responses]
    table = {
        "example": [one.number for one in examples],
        "polarity": [one.polarity for one in examples],
        "instruction": [one.instruction for one in examples],
        "question": [one.question for one in examples],
        "prompt": crew.model.decode(prompts),
        "response": crew.model.decode(responses),
        "prompt_token_ids": prompts,
        "token_ids": responses,
        "finish_reason": [reason for shard in shards for reason in shard.reasons],
        "near_tie": [step for shard in shards for step in shard.near_ties],
        "seed": [chosen.seed] * len(examples),
    }
    ids = pl.List(pl.Int32)
    kinds: dict[str, Any] = {
        "prompt_token_ids": ids,
        "token_ids": ids,
        "near_tie": pl.Int32,
        "seed": pl.UInt64,
    }
    pl.DataFrame(table, schema_overrides=kinds).write_parquet(out / GENERATED_FILE)


def write_activations(captured: Path, n: int, chosen: CaptureSettings, out: Path) -> None:
    """One file [n_examples, d] for each site and rule, and an index of them."""
    out.mkdir(parents=True, exist_ok=True)
    slugs = {rule.text: rule.slug for rule in parse_rules(chosen.positions)}
    files: dict[str, np.ndarray] = {}
    index: list[dict[str, Any]] = []
    for number, (first, stop) in enumerate(shard_borders(n)):
        for name, part in read_arrays(shard_path(captured, number)).items():
            if name not in files:
                site, _, position = name.partition(SEPARATOR)
                file = f"{site}.{slugs[position]}.npy"
                shape = (n, part.shape[1])
                files[name] = np.lib.format.open_memmap(out / file, mode="w+", dtype=part.dtype, shape=shape)
                index.append({"site": site, "position": position, "file": file})
            files[name][first:stop] = part
    for array in files.values():
        array.flush()  # type: ignore[attr-defined]
    index.sort(key=lambda entry: _site_order(entry["site"], entry["position"]))
    record = {"n_examples": n, "dtype": chosen.activations_dtype, "arrays": index}
    (out / INDEX_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _site_order(site: str, position: str) -> tuple[int, str, str]:
    number = site.split(".")[1] if site.startswith("blocks.") else "-1"
    return (int(number), site, position)


def check_layers(experiment: Experiment, chosen: TraitSettings) -> None:
    """Raise ModelError for a site or layer that the model has not, from its configuration alone."""
    directory = resolve_model_directory(experiment.model.model, experiment.model.revision)
    n_layers = n_layers_of(directory)
    for site in chosen.capture.sites if chosen.capture.sites != ("all",) else ():
        check_hook_name(site, n_layers)
    for layer in chosen.vectors.layers or ():
        if layer >= n_layers:
            raise UsageError(
                f"layer {layer} of a model of {n_layers}", f"0 to {n_layers - 1}", "correct --layers"
            )


def _digest(content: Any) -> str:
    return text_digest(canonical_json(content))


def _check_split(definition: TraitDefinition, chosen: TraitSettings) -> None:
    """Raise UsageError where nothing could be held out, or a position is not captured."""
    if chosen.vectors.position is not None and chosen.vectors.position not in chosen.capture.positions:
        raise UsageError(
            f"--position {chosen.vectors.position}",
            f"one of {', '.join(chosen.capture.positions)}, which are captured",
            "correct it, or add it to --positions",
        )
    if len(definition.questions) == 1 and chosen.generation.n_examples == 1:
        raise UsageError("one example of one question", "two or more", "raise --n-examples, or add questions")

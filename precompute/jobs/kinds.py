"""The kinds of work of jobs. One name each, as asks and records have it: that of a model type, or
`embeddings:MODEL:SIZE`, `readings:TYPE:MODEL:SIZE`, `density:SOURCE`, `traits:EXPERIMENT:TRAIT`,
`sweep:AUTOENCODER:PRESET`.

A further kind is a line in KINDS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.corpus.subsets import SIZES
from precompute.embeddings import readings
from precompute.errors import LightwellError, UsageError
from precompute.jobs.costs import Cost
from precompute.jobs.record import JobRecord
from precompute.jobs.staged_costs import Workload
from precompute.jobs.trait_work import TraitWork
from precompute.jobs.works import SEPARATOR, ModelTypeWork, StagedWork, Told, Work
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.registry import steps
from precompute.pipeline.runner import UP_TO_DATE
from precompute.pipeline.subjects import READINGS, open_subject, reading_name
from precompute.sweeps.presets import presets

if TYPE_CHECKING:
    from precompute.density.plan import Source
    from precompute.embeddings.named import NamedSets, SetName
    from precompute.jobs.recorder import Recorder
    from precompute.pipeline.stages import Wanted
    from precompute.sweeps.plan import SweepPlan


class EmbeddingWork(StagedWork):
    """An embedding set with its neighbour graph and map: `embeddings:MODEL:SIZE`."""

    STEPS = ("embeddings", "neighbors", "map")

    def shelf(self) -> Shelf:
        """The set's own."""
        sets, name = self._named()
        return sets.embedding_set(name).shelf

    def status(self) -> tuple[StepStatus, ...]:
        """By the model and the dataset as they are now."""
        sets, name = self._named()
        return sets.statuses(name)

    def workload(self) -> Workload:
        """By the dataset's file and the model's."""
        sets, name = self._named()
        settings = sets.settings(name)
        embedded = sets.embedding_set(name)
        model = settings.files(embedded.model).base
        return Workload.of(embedded.dataset(settings).file, SIZES[name.size], model)

    def mark(self) -> Mapping[str, Any]:
        """How the set is asked for."""
        sets, name = self._named()
        return {
            "model": sets.models[name.model].model,
            "settings": sets.settings(name).model_dump(mode="json"),
        }

    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """As the commands do."""
        from precompute.embeddings import compute as embed
        from precompute.embeddings.map import compute_map
        from precompute.embeddings.operations import Operations

        sets, name = self._named()
        embedded, settings = sets.embedding_set(name), sets.settings(name)
        workers = record.workers or os.cpu_count() or 1
        operations = Operations(workers=workers)
        names = self.selection(record.asked)

        told = Told(recorder, self)
        told.begin("embeddings")
        embed.compute(
            embedded.model, [name.size], settings, operations, embedded.given_data_dir,
            force=record.verify, progress=lambda _size: recorder,
        )  # fmt: skip
        told.end()
        if len(names) > 1:
            compute_map(embedded, None, workers, progress=recorder, began=told.begin)
            told.end()

    def _named(self) -> tuple[NamedSets, SetName]:
        from precompute.embeddings.named import NamedSets, SetName

        _, model, size = self.name.split(SEPARATOR)
        return NamedSets(self.data_dir, self.config), SetName(model, size)


class DensityWork(StagedWork):
    """The density weights of the data directory's prompts, by a model source: `density:SOURCE`."""

    STEPS = ("prompt_embeddings", "prompt_graph", "density_weights")

    def status(self) -> tuple[StepStatus, ...]:
        """By the prompts and the model as they are now; without prompts, all is missing."""
        from precompute.density.plan import statuses

        if not self._prompts().is_file():
            return tuple(StepStatus(n, "", "missing", "no prompts", 0, None, None) for n in self.STEPS)
        return statuses(self.shelf(), self._wanted(1))

    def workload(self) -> Workload:
        """By the prompts' file and the model's."""
        return Workload.of(self._prompts(), None, self._source().files.base)

    def mark(self) -> Mapping[str, Any]:
        """The source and the settings."""
        return {"settings": self._settings()[1].model_dump(mode="json")}

    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """As the commands do; where there are no prompts, those of the demo's pairs."""
        from precompute.density import commands
        from precompute.density.plan import compute

        if not self._prompts().is_file():
            recorder.update(reason="gathering prompts from the documentation on this machine")
            place = ["--data-dir", str(self.data_dir)]
            commands.pairs(["--only", "demo", *place])
            commands.prompts(place)
        workers = record.workers or os.cpu_count() or 1
        compute(self.shelf(), self._wanted(workers), Told(recorder, self), record.verify)

    def _source(self) -> Source:
        from precompute.density.plan import Source
        from precompute.embeddings.encoder import EncoderOptions
        from precompute.embeddings.model_directory import find_files

        name = self.name.split(SEPARATOR, 1)[1]
        model = load_config(self.config).density.sources[name]
        return Source(name, find_files(model), EncoderOptions())

    def _prompts(self) -> Path:
        from precompute.density.commands import PROMPTS_FILE

        return self.data_dir / PROMPTS_FILE

    def shelf(self) -> Shelf:
        """The directory of its source."""
        from precompute.density.commands import DENSITY_DIRECTORY

        return Shelf(self.data_dir / DENSITY_DIRECTORY / self.name.split(SEPARATOR, 1)[1])

    def _settings(self) -> tuple[Any, Any]:
        """Those of the published weights, or else the usual ones."""
        from precompute.density.neighbors import SearchSettings
        from precompute.density.stages import GRAPH, WEIGHTS
        from precompute.density.weights import WeightSettings

        manifests = [self.shelf().manifest(stage.name) for stage in (GRAPH, WEIGHTS)]
        graph, weights = (manifest.settings if manifest else {} for manifest in manifests)
        return SearchSettings(**graph), WeightSettings.model_validate(dict(weights))

    def _wanted(self, workers: int) -> Wanted:
        from precompute.artifacts.digests import DigestCache
        from precompute.density.plan import Resources, embeddings_of, weights_from

        cache = DigestCache(self.data_dir / ".digests.json")
        search, chosen = self._settings()
        embeddings = embeddings_of(self._prompts(), self._source(), Resources(workers=workers), cache)
        return weights_from(self.shelf(), embeddings, search, chosen, workers)


class SweepWork(StagedWork):
    """A best-of-K sweep of a text autoencoder with the settings of a preset: `sweep:AUTOENCODER:PRESET`."""

    STEPS = ("best_of_k",)

    def shelf(self) -> Shelf:
        """That of its results, which are named by autoencoder and preset."""
        from precompute.sweeps.named import shelf_of

        return shelf_of(self.data_dir, *self._named())

    def status(self) -> tuple[StepStatus, ...]:
        """By the checkpoint and the texts as they are now."""
        from precompute.sweeps.named import status_of

        return (status_of(self.data_dir, self.config, *self._named()),)

    def workload(self) -> Workload:
        """By the texts' file and the model's."""
        from precompute.sweeps.costs import workload_of

        return workload_of(self._plan())

    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """By the number of explanations; None where the checkpoint or its model is not there."""
        from precompute.sweeps.costs import cost_of

        wanted = set(names)
        if not any(s.step in wanted and s.state not in UP_TO_DATE for s in statuses):
            return Cost((), 0.0, 0)
        try:
            return cost_of(self._plan())
        except LightwellError:
            return None

    def mark(self) -> Mapping[str, Any]:
        """The settings, as they are asked for."""
        from precompute.sweeps.named import settings_of

        return settings_of(self.data_dir, self.config, *self._named()).model_dump(mode="json")

    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """As the command does."""
        from precompute.sweeps.run import compute

        told = Told(recorder, self)
        told.begin(self.STEPS[0])
        compute(self._plan(record.workers), progress=recorder)
        told.end()

    def _plan(self, workers: int | None = None) -> SweepPlan:
        from precompute.sweeps.named import settings_of
        from precompute.sweeps.plan import SweepPlan

        return SweepPlan.of(settings_of(self.data_dir, self.config, *self._named(), workers=workers))

    def _named(self) -> tuple[str, str]:
        _, autoencoder, preset = self.name.split(SEPARATOR)
        return autoencoder, preset


def _open_reading(name: str, data_dir: Path, config: Path | None) -> ModelTypeWork:
    _, model_type, texts = name.split(SEPARATOR, 2)
    return ModelTypeWork(readings.open_reading(model_type, texts, data_dir, config), readings.STEPS)


@dataclass(frozen=True)
class Kind:
    """Work that is no model type's own."""

    steps: tuple[str, ...]
    """Those that are meant where none is named."""
    open: Callable[[str, Path, Path | None], Work]
    """The work of a name of this kind."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "embeddings": Kind(EmbeddingWork.STEPS, EmbeddingWork),
        "density": Kind(DensityWork.STEPS, DensityWork),
        "traits": Kind(TraitWork.STEPS, TraitWork),
        "sweep": Kind(SweepWork.STEPS, SweepWork),
        READINGS: Kind(readings.STEPS, _open_reading),
    }
)
"""By what their names begin with."""


def steps_of(name: str) -> tuple[str, ...]:
    """The steps of a work, in the order of computation."""
    kind = name.partition(SEPARATOR)[0]
    return KINDS[kind].steps if SEPARATOR in name and kind in KINDS else tuple(steps())


def staged_names(config: Path | None, data_dir: Path | str | None = None) -> tuple[str, ...]:
    """The names of all works that are no model type; traits of the user's own are found in `data_dir`."""
    from precompute.extraction.experiment import defined_traits

    known = load_config(config)
    sets = [f"{model}:{size}" for model in known.embedding_models for size in SIZES]
    read = (reading_name(model_type, texts) for model_type in known.model_types for texts in sets)
    embedded = (f"embeddings:{texts}" for texts in sets)
    density = (f"density:{source}" for source in known.density.sources)
    traits = defined_traits(Path(data_dir) if data_dir else None, known)
    named = (f"traits:{experiment}:{trait}" for experiment, trait in traits)
    sweeps = (f"sweep:{name}:{preset}" for name in known.autoencoders for preset in presets())
    return (*embedded, *density, *read, *named, *sweeps)


def open_work(
    name: str,
    data_dir: Path | str,
    config: Path | str | None = None,
    features: tuple[int, int] | None = None,
) -> Work:
    """The work of that name. Raises ConfigError or UsageError for one that there is not."""
    kind, separator, _ = name.partition(SEPARATOR)
    if not separator:
        return ModelTypeWork(open_subject(name, data_dir, config, features))
    if name not in staged_names(Path(config) if config else None, data_dir):
        raise UsageError(f"work {name!r}", "one that the configuration names", "correct the configuration")
    return KINDS[kind].open(name, Path(data_dir), Path(config) if config else None)

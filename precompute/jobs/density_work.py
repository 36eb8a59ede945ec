"""Density weights as the work of a job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.jobs.record import JobRecord
from precompute.jobs.staged_costs import Workload
from precompute.jobs.works import SEPARATOR, StagedWork, Told
from precompute.pipeline.plan import StepStatus

if TYPE_CHECKING:
    from precompute.density.plan import Source
    from precompute.jobs.recorder import Recorder
    from precompute.pipeline.stages import Wanted


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

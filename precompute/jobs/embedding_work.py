"""Embedding sets as the work of a job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.corpus.subsets import SIZES
from precompute.jobs.record import JobRecord
from precompute.jobs.staged_costs import Workload
from precompute.jobs.works import SEPARATOR, StagedWork, Told
from precompute.pipeline.plan import StepStatus

if TYPE_CHECKING:
    from precompute.embeddings.named import NamedSets, SetName
    from precompute.jobs.recorder import Recorder


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

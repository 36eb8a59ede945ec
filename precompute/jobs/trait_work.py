"""Trait vectors as the work of a job."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.errors import LightwellError
from precompute.jobs.costs import SECONDS_TO_START, Cost
from precompute.jobs.record import JobRecord
from precompute.jobs.staged_costs import BYTES_PER_TOKEN, Workload
from precompute.jobs.works import SEPARATOR, StagedWork, Told
from precompute.models.language_model import resolve_model_directory
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE

if TYPE_CHECKING:
    from precompute.extraction.plan import Trait
    from precompute.jobs.recorder import Recorder

BYTES_PER_SECOND = 8e9
"""Of weights, each token that is written reading its share of them; seen with batches on two cores."""
SECONDS_OF_OTHERS = 4.0
"""Of a stage that writes nothing."""


class TraitWork(StagedWork):
    """The vectors of one trait of an experiment: `traits:EXPERIMENT:TRAIT`."""

    STEPS = ("trait_generation", "trait_responses", "trait_activations", "trait_vectors")

    def shelf(self) -> Shelf:
        """The trait's directory."""
        from precompute.extraction.experiment import trait_directory

        return Shelf(trait_directory(self.data_dir, *self.name.split(SEPARATOR)[1:]))

    def status(self) -> tuple[StepStatus, ...]:
        """By the definition and the model as they are now."""
        from precompute.extraction.plan import plan_of, statuses

        trait = self._trait()
        return statuses(trait, plan_of(trait, trait.settings(), None))

    def mark(self) -> Mapping[str, Any]:
        """The settings of what is published, or else the usual ones."""
        return {"settings": self._trait().settings().model_dump(mode="json")}

    def workload(self) -> Workload:
        """The tokens that are to be written, as texts."""
        trait = self._trait()
        chosen, model = trait.settings().generation, trait.experiment.model
        place = resolve_model_directory(model.model, model.revision)
        n_tokens = 2 * chosen.n_examples * chosen.max_new_tokens
        load = Workload.of(Path(os.devnull), None, place)
        return replace(load, n_texts=2 * chosen.n_examples, text_bytes=n_tokens * BYTES_PER_TOKEN)

    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """By the last time, or else by the tokens to be written and the size of the model."""
        known = {status.step: status for status in statuses}
        needed = [name for name in names if known[name].state not in UP_TO_DATE]
        try:
            load = self.workload()
        except LightwellError:
            return None
        writing = load.text_bytes / BYTES_PER_TOKEN * load.weight_bytes / BYTES_PER_SECOND
        expected = {self.STEPS[0]: writing}
        seconds = sum(known[name].seconds or expected.get(name, SECONDS_OF_OTHERS) for name in needed)
        n_bytes = len(needed) * (load.text_bytes + 4 * load.d * load.n_texts)
        return Cost(tuple(needed), seconds + (SECONDS_TO_START if needed else 0.0), round(n_bytes))

    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """As the command does."""
        from precompute.extraction.crew import Crew
        from precompute.extraction.plan import compute, plan_of
        from precompute.extraction.tasks import Operations

        trait = self._trait()
        plan = plan_of(trait, trait.settings(), Crew(trait.experiment, Operations()))
        last = self.selection(record.asked)[-1]
        compute(trait, plan.stage(last), Told(recorder, self), record.verify)

    def _trait(self) -> Trait:
        from precompute.artifacts.digests import DigestCache
        from precompute.extraction.experiment import open_experiment
        from precompute.extraction.plan import Trait

        _, experiment, trait = self.name.split(SEPARATOR)
        opened = open_experiment(self.data_dir, load_config(self.config), experiment)
        return Trait(opened, trait, DigestCache(self.data_dir / ".digests.json"))

"""Trait vectors as the work of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.jobs.costs import SECONDS_TO_START, Cost
from precompute.jobs.record import JobRecord
from precompute.jobs.works import SEPARATOR, StagedWork, Told
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE

if TYPE_CHECKING:
    from precompute.extraction.plan import Trait
    from precompute.jobs.recorder import Recorder

BYTES_PER_SECOND = 8e9
"""Of weights, each token that is written reading its share of them; seen with batches on two cores."""
BYTES_PER_TOKEN = 16
SECONDS_OF_OTHERS = 4.0
"""Of a stage that writes nothing."""


class TraitWork(StagedWork):
    """The vectors of one trait of an experiment: `traits:EXPERIMENT:TRAIT`."""

    kind = "traits"
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

    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """By the tokens to be written and the size of the model; None where its files are not at hand."""
        known = {status.step: status for status in statuses}
        needed = [name for name in names if known[name].state not in UP_TO_DATE]
        trait = self._trait()
        weights = sum(
            path.stat().st_size for path in Path(trait.experiment.model.model).glob("*.safetensors")
        )
        if not weights:
            return None
        chosen = trait.settings().generation
        n_tokens = 2 * chosen.n_examples * chosen.max_new_tokens
        writing = n_tokens * weights / BYTES_PER_SECOND
        seconds = sum(
            known[n].seconds or (writing if n == "trait_generation" else SECONDS_OF_OTHERS) for n in needed
        )
        start = SECONDS_TO_START if needed else 0.0
        return Cost(tuple(needed), start + seconds, len(needed) * n_tokens * BYTES_PER_TOKEN)

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

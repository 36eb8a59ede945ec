"""Best-of-K sweeps as the work of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from precompute.artifacts.shelf import Shelf
from precompute.errors import LightwellError
from precompute.jobs.costs import Cost
from precompute.jobs.record import JobRecord
from precompute.jobs.staged_costs import Workload
from precompute.jobs.works import SEPARATOR, StagedWork, Told
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE

if TYPE_CHECKING:
    from precompute.jobs.recorder import Recorder
    from precompute.sweeps.plan import SweepPlan


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

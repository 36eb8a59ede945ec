"""What the apps of one server share: jobs, embedding sets, and where background callbacks run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dashboard import worker
from dashboard.embedded import EmbeddedSets
from dashboard.embedder import Embedders
from dashboard.jobs import Jobs
from dashboard.managers import REDIS_VARIABLE, ThreadManager, celery_manager
from dashboard.settings import DashboardSettings
from precompute.jobs.launcher import Limits
from precompute.reading import Artifacts


class Service:
    """Jobs and callbacks of one server. Raises UsageError where Redis is asked for and does not answer."""

    def __init__(
        self,
        settings: DashboardSettings,
        artifacts: Artifacts | None = None,
        command: Sequence[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.jobs = Jobs(settings, artifacts, command, limits)
        self.embedded = EmbeddedSets(self.jobs.board.data_dir, settings.config)
        self.embedders = Embedders()
        self._worker: worker.WorkerProcess | None = None
        url = os.environ.get(REDIS_VARIABLE)
        self.manager: Any = ThreadManager() if not url else self._with_celery(url, settings)

    def _with_celery(self, url: str, settings: DashboardSettings) -> Any:
        celery = worker.application(url)
        self._worker = worker.WorkerProcess(url)
        return celery_manager(celery, worker.place_of(settings, self.jobs))

    def close(self) -> None:
        """Stop jobs, callbacks and workers; what was computed stays, the rest can be resumed."""
        self.jobs.close()
        self.embedders.close()
        if self._worker is not None:
            self._worker.close()
        self.manager.close()

"""Computing on demand: what pages ask for becomes a job, or joins the one that is at it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashboard import asks
from dashboard.address import AddressError
from dashboard.asks import Ask
from dashboard.obstacles import Obstacles
from dashboard.settings import DashboardSettings
from dashboard.states import States
from precompute.config import load_config
from precompute.errors import LightwellError
from precompute.jobs.board import JobBoard
from precompute.jobs.costs import Cost
from precompute.jobs.kinds import open_work, staged_names
from precompute.jobs.launcher import COMMAND, Launcher, Limits, Submission
from precompute.jobs.orders import Order
from precompute.jobs.record import RESUMABLE, JobError, JobRecord
from precompute.jobs.space import free
from precompute.jobs.works import ModelTypeWork, Work
from precompute.pipeline.subjects import Subject, as_chosen_now, data_directory
from precompute.reading import Artifacts, open_artifacts

COMMAND_VARIABLE = "LIGHTWELL_JOB_COMMAND"
"""In the environment: what starts a job's process, in place of the usual command."""
SECONDS_BETWEEN_LOOKS = 0.5
MOST_FOLLOWED = 12
"""Callbacks that follow a job at the same time; the pages of others follow by themselves."""
Tell = Callable[[Any], None]


class Jobs:
    """The jobs of one data directory, as the pages of a server see and order them."""

    def __init__(
        self,
        settings: DashboardSettings,
        artifacts: Artifacts | None = None,
        command: Sequence[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._opened: dict[str, Artifacts] = {}
        self._states: dict[str, States] = {}
        if artifacts is not None:
            self._opened[artifacts.model_type.name] = artifacts
        known = () if artifacts is not None else load_config(settings.config).model_types
        self.names: tuple[str, ...] = tuple(known) or tuple(self._opened)
        """Model types that may be computed."""
        data_dir = artifacts.subject.data_dir if artifacts else data_directory(settings.data_dir)
        self.works: tuple[str, ...] = (*self.names, *staged_names(settings.config, data_dir))
        """All that may be computed, by the names that asks have."""
        self.board = JobBoard(data_dir)
        chosen = command or os.environ.get(COMMAND_VARIABLE, "").split() or COMMAND
        self._launcher = Launcher(self.board, chosen, limits)
        self.obstacles = Obstacles(lambda name: self.artifacts(name).model_type)
        self._submitting = threading.Lock()
        self._following = threading.Semaphore(MOST_FOLLOWED)

    def know(self, artifacts: Artifacts, states: States) -> None:
        """Use what an app has opened already."""
        self._opened[artifacts.model_type.name] = artifacts
        self._states[artifacts.model_type.name] = states

    def forget(self, name: str) -> None:
        """Open a model type anew when it is asked for next: its configuration has changed."""
        self._opened.pop(name, None)
        self._states.pop(name, None)
        self.obstacles.forget(name)

    def artifacts(self, name: str) -> Artifacts:
        """What is computed for a model type."""
        if name not in self._opened:
            self._opened[name] = open_artifacts(name, self._settings.data_dir, self._settings.config)
        return self._opened[name]

    def states(self, name: str) -> States:
        """The states of the steps of a model type or of other work."""
        if name not in self._states:
            self._states[name] = States(self.artifacts(name) if name in self.names else self.work(name))
        return self._states[name]

    def subject(self, name: str) -> Subject:
        """A model type with the settings that hold now."""
        return as_chosen_now(self.artifacts(name).subject)

    def work(self, name: str) -> Work:
        """What is computed under a name, with the settings that hold now."""
        if name in self.names:
            return ModelTypeWork(self.subject(name))
        return open_work(name, self.board.data_dir, self._settings.config)

    def obstacle(self, name: str) -> str:
        """Why a model type cannot be computed, or empty; other work says so itself when it is tried."""
        return self.obstacles.of(name) if name in self.names else ""

    def parse(self, text: object) -> Ask:
        """An ask that a browser sent; raises AddressError."""
        return asks.parse(text, self.works)

    def cost(self, ask: Ask) -> Cost | None:
        """What bringing it up to date is expected to take; None where that cannot be said."""
        work, known = self.work(ask.model_type), self.states(ask.model_type).all()
        return work.cost(known.values(), work.selection(ask.steps)) if known else None

    # What is ordered.

    def compute(self, ask: Ask, **options: Any) -> Submission | None:
        """A job for it, new or already at work; None where everything is up to date.

        Raises LightwellError, in words for the person who asked.
        """
        self.obstacles.forget(ask.model_type)
        if reason := self.obstacle(ask.model_type):
            raise JobError(reason)
        order = Order(
            self.work(ask.model_type),
            ask.steps,
            self._settings.config,
            verify=ask.verify,
            workers=self._settings.workers,
            **options,
        )
        with self._submitting:  # Planning is work for one core: others who ask wait, and pages do not.
            return self._launcher.submit(order)

    def retry(self, job: object) -> Submission | None:
        """Once more what a job did not do."""
        record = self.board.find(job)
        if record.state not in RESUMABLE:
            raise JobError(f"the job is {record.state}; only one that was stopped or failed can be repeated")
        if record.model_type not in self.works:
            raise JobError(f"{record.model_type} is not known to this server; run the same command again")
        return self.compute(Ask(record.model_type, record.asked, record.verify), retry_of=record.id)

    def cancel(self, job: object) -> str:
        """End a job and all that it has started; gives what to say."""
        self.board.cancel(job)
        return "Cancelled. What was finished is kept."

    def free(self, text: object) -> int:
        """Remove what `MODEL_TYPE/NAME` names from the disk; gives the bytes freed."""
        name, _, what = text.partition("/") if isinstance(text, str) else ("", "", "")
        if name not in self.names:
            raise AddressError("a model type that is not served", f"one of {', '.join(self.names)}", "reload")
        return free(self.board, self.subject(name), what)

    def close(self) -> None:
        """Stop what this server has started; it can be resumed."""
        self._launcher.close()

    # What a background callback does.

    def follow(self, tell: Tell, order: object) -> dict[str, Any]:
        """Do what a button orders, tell which job does it, and come back when it has ended.

        Never raises: what goes wrong is in the answer, as words.
        """
        given: Mapping[str, Any] = order if isinstance(order, Mapping) else {}
        answer = {"nonce": str(given.get("nonce", ""))[:64]}
        try:
            submission = self._submitted(given)
        except (LightwellError, OSError) as error:
            return {**answer, "error": f"{error}"}
        if submission is None:
            return {**answer, "state": "fresh"}
        answer["job"] = submission.record.id
        tell([answer])
        return {**answer, "state": self._ended(submission.record).state}

    def _submitted(self, given: Mapping[str, Any]) -> Submission | None:
        if "retry" in given:
            return self.retry(given["retry"])
        return self.compute(self.parse(given.get("ask")))

    def _ended(self, record: JobRecord) -> JobRecord:
        """The record when its job has ended, or sooner where many follow."""
        if not self._following.acquire(blocking=False):
            return record
        try:
            while record.is_active:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                record = self.board.find(record.id)
        except JobError:  # Its record was cleaned away.
            return record
        finally:
            self._following.release()
        return record

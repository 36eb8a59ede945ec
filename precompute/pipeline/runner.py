"""The one runner: brings steps up to date in dependency order, whoever asks."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import InputEntry, Manifest, describe_files
from precompute.errors import DiskSpaceError, NotApplicableError
from precompute.executors.executor import Executor
from precompute.executors.local import Threads
from precompute.executors.ranks import Ranks, Team
from precompute.pipeline.plan import TIMES_DIRECTORY, Plan, StepStatus
from precompute.pipeline.registry import owner_of, steps
from precompute.pipeline.step import Share, Step, StepContext, sharing
from precompute.pipeline.subjects import Subject
from precompute.progress import Progress
from precompute.settings import Operations

UP_TO_DATE = ("fresh", "not applicable")


class Reporter(Protocol):
    """Whoever watches a run."""

    def started(self, step: Step, reason: str) -> Progress:
        """A step begins; the returned progress shows how far it is."""
        ...

    def waiting(self, step: Step) -> None:
        """Another process computes this step; the run waits for it."""
        ...

    def ended(self, status: StepStatus) -> None:
        """A step was computed, or found not applicable."""
        ...

    def left_out(self, step: Step, reason: str) -> None:
        """A step cannot be computed, since one that it reads was skipped."""
        ...


@dataclass
class Outcome:
    """What a run did."""

    computed: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Runner:
    """Computes what is missing, stale or corrupt of one subject."""

    def __init__(
        self,
        subject: Subject,
        operations: Operations,
        reporter: Reporter,
        executor: Executor | None = None,
        team: Team[Share] | None = None,
    ) -> None:
        self.subject, self.operations, self.reporter = subject, operations, reporter
        self.executor = executor or Threads(operations.workers)
        self.team = team or sharing(Ranks())
        self.plan = Plan(subject)

    def run(self, names: Iterable[str], force: bool = False) -> Outcome:
        """Bring these steps, given in dependency order, up to date; `force` computes them in any case.

        Raises the step's own error where one fails; what was published before stays.
        """
        outcome = Outcome()
        for name in names:
            step = steps()[name]
            if not force and self._is_up_to_date(name):
                outcome.fresh.append(name)
            elif lacking := self._lacking(step):
                self.reporter.left_out(step, f"needs {', '.join(lacking)}")
                outcome.left_out.append(name)
            elif self._compute_locked(step, force):
                outcome.computed.append(name)
            else:
                outcome.fresh.append(name)
        self.subject.shelf.collect_garbage(steps())
        return outcome

    def _is_up_to_date(self, name: str) -> bool:
        return self.plan.status(name, look_for_run=False).state in UP_TO_DATE

    def _lacking(self, step: Step) -> list[str]:
        return [name for name in step.inputs if not self._is_up_to_date(name)]

    def _compute_locked(self, step: Step, force: bool) -> bool:
        """Compute one step under its lock; says whether it was computed rather than found done."""
        lock = ArtifactLock(self.subject.directory, step.name)
        if not lock.acquire(0):
            self.reporter.waiting(step)
            lock.acquire()
        try:
            status = self.plan.status(step.name, look_for_run=False)
            if status.state in UP_TO_DATE and not force:
                return False
            started = time.monotonic()
            self._compute(step, self.reporter.started(step, status.reason))
            self._note_time(step.name, time.monotonic() - started)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskSpaceError(
                    f"no space left while computing {step.name}", "free space", "free some and run again"
                ) from error
            raise
        finally:
            lock.release()
        self.reporter.ended(self.plan.status(step.name, look_for_run=False))
        return True

    def _compute(self, step: Step, progress: Progress) -> None:
        shelf, expected = self.subject.shelf, self.plan.expected(step.name)
        inputs = self.plan.inputs_now(step)
        staging = shelf.stage(step.name, expected, step.resumable)
        reason = self._inherited_reason(step)
        if reason is None:
            try:
                step.run_of(self.subject.model_type)(self._context(step, staging, progress))
            except NotApplicableError as error:
                reason = str(error)
        if reason is not None:
            staging = shelf.stage(step.name, expected, resumable=False)
        shelf.publish(staging, self._manifest(step, staging, inputs, reason), step.outputs)

    def _inherited_reason(self, step: Step) -> str | None:
        """Why a step does not apply because one that it reads does not."""
        for name in (name for name in step.inputs if name not in step.does_without):
            status = self.plan.status(name, look_for_run=False)
            if status.state == "not applicable":
                return f"it reads {name}, which does not apply: {status.reason}"
        return None

    def _manifest(
        self, step: Step, staging: Path, inputs: dict[str, InputEntry], reason: str | None
    ) -> Manifest:
        return Manifest(
            step=step.name,
            version=step.version,
            fingerprint=self.plan.expected(step.name),
            settings=self.plan.settings_of(step),
            inputs=inputs,
            sources=self.plan.sources_of(step),
            files=describe_files(staging),
            not_applicable=reason,
        )

    def _context(self, step: Step, staging: Path, progress: Progress) -> StepContext:
        shelf = self.subject.shelf
        files = {
            output: (shelf.current(owner_of(output)) / output).absolute()
            for name in step.inputs
            for output in steps()[name].outputs
        }
        return StepContext(
            model_type=self.subject.model_type,
            settings=self.subject.settings,
            operations=self.operations,
            out=staging.absolute(),
            files=files,
            progress=progress,
            data_dir=self.subject.data_dir,
            executor=self.executor,
            team=self.team,
        )

    def _note_time(self, name: str, seconds: float) -> None:
        path = self.subject.directory / TIMES_DIRECTORY / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"seconds": round(seconds, 3)}))

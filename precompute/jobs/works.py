"""What a job can be at: the steps of a model type, or of other work; all kinds are listed in `kinds`."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from precompute.artifacts.shelf import Shelf
from precompute.errors import LightwellError, UsageError
from precompute.jobs.costs import Cost, expected_cost
from precompute.jobs.record import JobRecord, StepDone
from precompute.jobs.staged_costs import Workload, staged_cost
from precompute.pipeline.plan import Plan, StepStatus, selection
from precompute.pipeline.runner import UP_TO_DATE, Runner
from precompute.pipeline.runs import prepare
from precompute.pipeline.subjects import Subject, as_chosen_now
from precompute.progress import Progress
from precompute.settings import Operations

if TYPE_CHECKING:
    from precompute.jobs.recorder import Recorder
    from precompute.pipeline.stages import Stage

SEPARATOR = ":"
"""In the name of what is no model type, whose own name cannot hold it: `embeddings:demo:toy`."""


class Work(ABC):
    """Something that jobs bring up to date, step by step."""

    name: str
    data_dir: Path
    features: tuple[int, int] | None = None
    """Only some features of a model type."""

    @abstractmethod
    def selection(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The steps that are asked for (none means all) and what they read, in the order of computation."""

    @abstractmethod
    def planned(self, names: tuple[str, ...], repaired: tuple[str, ...] = ()) -> dict[str, Any]:
        """`steps` that are not up to date, and the `fingerprints` that their artifacts are to have."""

    @abstractmethod
    def status(self) -> tuple[StepStatus, ...]:
        """The states of its steps, in order."""

    @property
    @abstractmethod
    def directory(self) -> Path:
        """Where its artifacts lie."""

    @abstractmethod
    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """What bringing some steps up to date is expected to take; None where that cannot be said."""

    @abstractmethod
    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """Bring what a record asks for up to date."""


@dataclass(frozen=True)
class ModelTypeWork(Work):
    """The steps of a model type, on its own corpus or on the texts of an embedding set."""

    subject: Subject
    usual: tuple[str, ...] = ()
    """The steps that are meant where none is named; without them all."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """The subject's."""
        return self.subject.name

    @property
    def directory(self) -> Path:
        """The subject's."""
        return self.subject.directory

    def status(self) -> tuple[StepStatus, ...]:
        """By a plan of the subject, with the settings that hold now."""
        return Plan(as_chosen_now(self.subject)).statuses()

    @property
    def data_dir(self) -> Path:  # type: ignore[override]
        """The data directory."""
        return self.subject.data_dir

    @property
    def features(self) -> tuple[int, int] | None:  # type: ignore[override]
        """Those that are computed; None is all."""
        return self.subject.settings.features

    def selection(self, asked: Iterable[str]) -> tuple[str, ...]:
        """By the registry of steps."""
        return selection(list(asked) or self.usual, ())

    def planned(self, names: tuple[str, ...], repaired: tuple[str, ...] = ()) -> dict[str, Any]:
        """By a plan of the subject."""
        plan = Plan(self.subject)

        def is_up_to_date(name: str) -> bool:
            return plan.status(name, look_for_run=False).state in UP_TO_DATE

        lacking = [name for name in names if name in repaired or not is_up_to_date(name)]
        return {"steps": tuple(lacking), "fingerprints": {name: plan.expected(name) for name in lacking}}

    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """By the last time, or else by the sizes of corpus and SAE."""
        return expected_cost(self.subject, statuses, names)

    def run(self, record: JobRecord, recorder: Recorder) -> None:
        """By the runner that commands use."""
        from precompute.jobs.recorder import RecordingReporter
        from precompute.pipeline.terminal import TerminalReporter

        operations = Operations(workers=record.workers or os.cpu_count() or 1)
        names, subject = self.selection(record.asked), self.subject
        shown = TerminalReporter(names)

        def say(line: str) -> None:
            shown.say(line)
            recorder.update(reason=line)

        prepare(subject, operations.workers, say)
        subject.directory.mkdir(parents=True, exist_ok=True)
        for name in record.asked if record.verify else ():
            if subject.shelf.pointer(name).is_symlink():
                subject.shelf.verify(name)
        # Taking the snapshot has changed what is expected: whoever asks now must find this job.
        recorder.update(**self.planned(names), reason="")
        Runner(subject, operations, RecordingReporter(shown, recorder)).run(names)


class StagedWork(Work):
    """Work whose steps follow each other, each reading those before it."""

    STEPS: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, data_dir: Path, config: Path | None) -> None:
        self.name, self.data_dir, self.config = name, data_dir, config

    @abstractmethod
    def shelf(self) -> Shelf:
        """Where its artifacts are published."""

    @property
    def directory(self) -> Path:
        """The shelf's."""
        return self.shelf().directory

    @abstractmethod
    def workload(self) -> Workload:
        """What is to be read; raises LightwellError where the model cannot be found."""

    def cost(self, statuses: Iterable[StepStatus], names: Iterable[str]) -> Cost | None:
        """By the last time, or else by the sizes of texts and model."""
        try:
            return staged_cost(self.workload(), statuses, names)
        except LightwellError:
            return None

    @abstractmethod
    def mark(self) -> Mapping[str, Any]:
        """What determines its results, as far as that is known before anything is read."""

    def selection(self, asked: Iterable[str]) -> tuple[str, ...]:
        """All steps up to the last that is asked for. Raises UsageError for one that there is not."""
        wanted = list(asked) or list(self.STEPS)
        unknown = [name for name in wanted if name not in self.STEPS]
        if unknown:
            known = ", ".join(self.STEPS)
            raise UsageError(f"unknown step {unknown[0]!r}", f"one of {known}", "correct the name")
        return self.STEPS[: 1 + max(self.STEPS.index(name) for name in wanted)]

    def planned(self, names: tuple[str, ...], repaired: tuple[str, ...] = ()) -> dict[str, Any]:
        """By the states of its steps."""
        from precompute.artifacts.manifest import fingerprint

        states = {status.step: status.state for status in self.status()}
        lacking = tuple(n for n in names if n in repaired or states.get(n) not in UP_TO_DATE)
        mark = {"name": self.name, **self.mark()}
        return {"steps": lacking, "fingerprints": {name: fingerprint(name, 1, mark, {}) for name in lacking}}


class Told:
    """Tells a record which step is at work, and of each that ended what it took."""

    def __init__(self, recorder: Recorder, work: StagedWork) -> None:
        self._recorder, self._work = recorder, work
        self._step, self._began = "", 0.0

    def begin(self, step: str, reason: str = "") -> None:
        """A step begins, and with it the one before has ended."""
        self.end()
        self._step, self._began = step, time.monotonic()
        nothing: dict[str, Any] = {"n_done": 0, "n_total": 0, "unit": "", "rate": None}
        self._recorder.update(step=step, reason=reason, waiting=False, **nothing)
        self._recorder.flush()

    def end(self) -> None:
        """The step at work has ended."""
        if not self._step:
            return
        manifest = self._work.shelf().manifest(self._step)
        done = StepDone(
            step=self._step,
            seconds=time.monotonic() - self._began,
            n_bytes=manifest.n_bytes if manifest else 0,
        )
        self._recorder.update(done=(*self._recorder.record.done, done), step=None)
        self._recorder.flush()
        self._step = ""

    def started(self, stage: Stage, reason: str) -> Progress:
        """A stage begins."""
        self.begin(stage.name, reason)
        return self._recorder

    def ended(self, _stage: Stage) -> None:
        """It was computed."""
        self.end()

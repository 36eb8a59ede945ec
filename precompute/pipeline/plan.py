"""What is computed and what is not: the state of each step of a subject, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import InputEntry, Manifest, fingerprint
from precompute.errors import CorruptArtifactError, UsageError
from precompute.pipeline.origin import origin_of
from precompute.pipeline.registry import steps
from precompute.pipeline.sources import Sources
from precompute.pipeline.step import Step
from precompute.pipeline.subjects import Subject

State = Literal["fresh", "stale", "missing", "running", "corrupt", "not applicable"]

TIMES_DIRECTORY = ".times"
"""How long each step took: kept apart from artifacts, which hold no times."""


@dataclass(frozen=True)
class StepStatus:
    """The state of one step of a subject."""

    step: str
    summary: str
    """What the step computes, in one sentence."""
    state: State
    reason: str
    """Why it is not fresh; empty where it is."""
    n_bytes: int
    """Size of its artifact; 0 where there is none."""
    seconds: float | None
    """How long it took when it was last computed."""
    fingerprint: str | None
    """Of the artifact that is there."""


class Plan:
    """The states of a subject's steps; looks at the disk anew at every question."""

    def __init__(self, subject: Subject, sources: Sources | None = None) -> None:
        self.subject = subject
        self.sources = sources or origin_of(subject.model_type).sources(subject.data_dir)
        self._expected: dict[str, str] = {}

    def settings_of(self, step: Step) -> dict[str, Any]:
        """The step's own scientific settings."""
        chosen = self.subject.settings.model_dump(mode="json")
        return {name: chosen[name] for name in step.settings}

    def sources_of(self, step: Step) -> dict[str, Any]:
        """The identities of the sources that the step reads."""
        names = step.sources_of(self.subject.model_type)
        return {source: dict(self.sources.identity(source)) for source in names}

    def expected(self, name: str) -> str:
        """The fingerprint that this step's artifact must have to be fresh."""
        if name not in self._expected:
            step = steps()[name]
            inputs = {**self.sources_of(step), **{i: self.expected(i) for i in step.inputs}}
            extra = {"storage": self.subject.model_type.storage} if _writes_store(step) else {}
            self._expected[name] = fingerprint(
                name, step.version, {**self.settings_of(step), **extra}, inputs
            )
        return self._expected[name]

    def inputs_now(self, step: Step) -> dict[str, InputEntry]:
        """Fingerprint and content digest of each input that is published now."""
        found = {}
        for name in step.inputs:
            manifest = self._manifest(name)
            if manifest is not None:
                found[name] = InputEntry(fingerprint=manifest.fingerprint, digest=manifest.digest)
        return found

    def status(self, name: str, look_for_run: bool = True) -> StepStatus:
        """The state of one step."""
        step, shelf = steps()[name], self.subject.shelf
        manifest: Manifest | None = None
        try:
            manifest = shelf.manifest(name)
            damage = [] if manifest is None else shelf.damage(name) + shelf.lost_links(name, step.outputs)
        except (CorruptArtifactError, OSError) as error:
            damage = [str(error)]
        state, reason = self._judge(step, manifest, damage)
        if look_for_run and state not in ("fresh", "not applicable") and self._is_running(name):
            state, reason = "running", "computed by another process now"
        return StepStatus(
            step=name,
            summary=step.summary_of(self.subject.model_type),
            state=state,
            reason=reason,
            n_bytes=manifest.n_bytes if manifest else 0,
            seconds=self._seconds(name),
            fingerprint=manifest.fingerprint if manifest else None,
        )

    def statuses(self) -> tuple[StepStatus, ...]:
        """The states of all steps, in dependency order."""
        return tuple(self.status(name) for name in steps())

    def _judge(self, step: Step, manifest: Manifest | None, damage: list[str]) -> tuple[State, str]:
        if damage:
            return "corrupt", "; ".join(damage[:3]) + (f"; {len(damage) - 3} more" if damage[3:] else "")
        if manifest is None:
            return "missing", "not computed yet"
        if manifest.fingerprint != self.expected(step.name):
            return "stale", self._difference(step, manifest)
        now = self.inputs_now(step)
        changed = [name for name, entry in now.items() if manifest.inputs.get(name) != entry]
        if changed:
            return "stale", f"the content of {', '.join(changed)} changed"
        if manifest.not_applicable:
            return "not applicable", manifest.not_applicable
        return "fresh", ""

    def _difference(self, step: Step, manifest: Manifest) -> str:
        """Why a fingerprint is not the expected one, in words."""
        if manifest.version != step.version:
            return f"computed by version {manifest.version} of the step, which is at {step.version}"
        settings = self.settings_of(step)
        changed = [f"{k} is now {settings[k]}" for k in settings if manifest.settings.get(k) != settings[k]]
        for source, identity in self.sources_of(step).items():
            before = manifest.sources.get(source, {})
            keys = [key for key in identity if before.get(key) != identity[key]]
            changed += [f"the {source}'s {'content' if key == 'digest' else key} changed" for key in keys]
        inputs = [
            name
            for name in step.inputs
            if name not in manifest.inputs or manifest.inputs[name].fingerprint != self.expected(name)
        ]
        changed += [f"its input {name} is out of date" for name in inputs]
        return "; ".join(changed) or "the storage changed"

    def _manifest(self, name: str) -> Manifest | None:
        try:
            return self.subject.shelf.manifest(name)
        except CorruptArtifactError:
            return None

    def _is_running(self, name: str) -> bool:
        return ArtifactLock(self.subject.directory, name).is_held()

    def _seconds(self, name: str) -> float | None:
        path = self.subject.directory / TIMES_DIRECTORY / f"{name}.json"
        try:
            return float(json.loads(path.read_text())["seconds"])
        except (OSError, ValueError, KeyError):
            return None


def _writes_store(step: Step) -> bool:
    return bool({"activations", "feature_major"} & set(step.outputs))


def selection(only: Iterable[str], skip: Iterable[str]) -> tuple[str, ...]:
    """The steps to bring up to date: those asked for and what they read, without those to skip.

    Raises UsageError for a step that does not exist.
    """
    registry: Mapping[str, Step] = steps()
    only, skip = list(only), set(skip)
    for name in [*only, *skip]:
        if name not in registry:
            raise UsageError(f"unknown step {name!r}", f"one of {', '.join(registry)}", "correct the name")
    wanted = set(only or registry) - skip
    for name in reversed(list(registry)):
        if name in wanted:
            wanted.update(set(registry[name].inputs) - skip)
    return tuple(name for name in registry if name in wanted)

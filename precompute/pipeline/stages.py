"""Stages that follow each other on one shelf: what each should be, whether it is, and how it becomes so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import InputEntry, Manifest, describe_files, fingerprint
from precompute.artifacts.shelf import Shelf
from precompute.errors import CorruptArtifactError
from precompute.pipeline.plan import State, StepStatus
from precompute.progress import Progress


@dataclass(frozen=True)
class Stage:
    """One of the computations."""

    name: str
    """Also the name of its artifact."""
    version: int
    """Raised whenever the result changes for the same inputs."""
    summary: str
    """What it is, in one sentence."""
    outputs: tuple[str, ...]
    """Files that stand, as links, in the output directory itself."""


@dataclass(frozen=True)
class Wanted:
    """A stage as it should be: what determines its result, and what computes it."""

    stage: Stage
    run: Callable[[Path, Progress], None] = field(compare=False)
    """Writes its files into a directory, which may hold what a killed run left there."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its scientific settings."""
    sources: Mapping[str, Any] = field(default_factory=dict)
    """What it reads besides other stages, by content."""
    inputs: tuple[Wanted, ...] = ()
    """The stages that it reads."""

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of what it should be."""
        read = {**self.sources, **{wanted.stage.name: wanted.fingerprint for wanted in self.inputs}}
        return fingerprint(self.stage.name, self.stage.version, self.settings, read)


class Reporter(Protocol):
    """Whoever watches."""

    def started(self, stage: Stage, reason: str) -> Progress:
        """A stage begins; the returned progress shows how far it is."""
        ...

    def ended(self, stage: Stage) -> None:
        """A stage was computed."""
        ...


def inputs_now(shelf: Shelf, wanted: Wanted) -> dict[str, InputEntry]:
    """Fingerprint and content digest of each stage that it reads, as published now."""
    manifests = [shelf.manifest(read.stage.name) for read in wanted.inputs]
    return {
        m.step: InputEntry(fingerprint=m.fingerprint, digest=m.digest) for m in manifests if m is not None
    }


def status_of(shelf: Shelf, wanted: Wanted, look_for_run: bool = True) -> StepStatus:
    """The state of a stage's artifact."""
    stage, manifest = wanted.stage, None
    try:
        manifest = shelf.manifest(stage.name)
        state, reason = _judge(shelf, wanted, manifest)
    except (CorruptArtifactError, OSError) as error:
        state, reason = "corrupt", str(error)
    if look_for_run and state != "fresh" and ArtifactLock(shelf.directory, stage.name).is_held():
        state, reason = "running", "computed by another process now"
    n_bytes, found = (manifest.n_bytes, manifest.fingerprint) if manifest else (0, None)
    return StepStatus(stage.name, stage.summary, state, reason, n_bytes, None, found)


def _judge(shelf: Shelf, wanted: Wanted, manifest: Manifest | None) -> tuple[State, str]:
    stage = wanted.stage
    if manifest is None:
        return "missing", "not computed yet"
    damage = shelf.damage(stage.name) + shelf.lost_links(stage.name, stage.outputs)
    if damage:
        return "corrupt", "; ".join(damage)
    changed = _changed(manifest, wanted) or _changed_inputs(shelf, manifest, wanted)
    return ("stale", f"{', '.join(changed)} changed") if changed else ("fresh", "")


def _changed(manifest: Manifest, wanted: Wanted) -> list[str]:
    if manifest.fingerprint == wanted.fingerprint:
        return []
    pairs = ((manifest.settings, wanted.settings), (manifest.sources, wanted.sources))
    found = [name for was, now in pairs for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    read = {given.stage.name: given.fingerprint for given in wanted.inputs}
    found += [
        name for name in read if (entry := manifest.inputs.get(name)) and entry.fingerprint != read[name]
    ]
    return found or ["the program"]


def _changed_inputs(shelf: Shelf, manifest: Manifest, wanted: Wanted) -> list[str]:
    now = inputs_now(shelf, wanted)
    return [f"the content of {name}" for name in now if manifest.inputs.get(name) != now[name]]


def bring_up_to_date(shelf: Shelf, wanted: Wanted, reporter: Reporter, force: bool = False) -> None:
    """Compute a stage, after those that it reads, unless it is fresh. A killed run is taken up."""
    for read in wanted.inputs:
        bring_up_to_date(shelf, read, reporter, force)
    stage = wanted.stage
    if not force and status_of(shelf, wanted, look_for_run=False).state == "fresh":
        return
    with ArtifactLock(shelf.directory, stage.name):
        status = status_of(shelf, wanted, look_for_run=False)
        if status.state == "fresh" and not force:
            return
        staging = shelf.stage(stage.name, wanted.fingerprint, resumable=True)
        entries = inputs_now(shelf, wanted)
        wanted.run(staging, reporter.started(stage, status.reason))
        manifest = Manifest(
            step=stage.name,
            version=stage.version,
            fingerprint=wanted.fingerprint,
            settings=wanted.settings,
            inputs=entries,
            sources=wanted.sources,
            files=describe_files(staging),
        )
        shelf.publish(staging, manifest, stage.outputs)
    reporter.ended(stage)

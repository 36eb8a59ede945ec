"""A computed model type of its own, whose artifacts a test may take away."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from precompute.jobs.board import JobBoard
from precompute.jobs.launcher import Launcher, Limits
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import Subject, open_subject
from tests.jobs.misbehaving import command
from tests.tiny import TinyFiles


@pytest.fixture
def files(computed: TinyFiles, tmp_path: Path) -> TinyFiles:
    """The tiny model type with its own data directory."""
    root = tmp_path / "mine"
    shutil.copytree(computed.root, root, symlinks=True, ignore=shutil.ignore_patterns(".jobs"))
    return TinyFiles(root)


@pytest.fixture
def subject(files: TinyFiles) -> Subject:
    """It, without its histograms."""
    found = open_subject("mine", files.root / "data", files.config)
    take_away(found, "histograms")
    return found


def take_away(subject: Subject, *names: str) -> None:
    """Remove artifacts."""
    for name in names:
        subject.shelf.remove(name, steps()[name].outputs)


@pytest.fixture
def launch(subject: Subject) -> Iterator[Callable[..., Launcher]]:
    """Launchers of jobs that behave in a certain way; closed in the end."""
    made: list[Launcher] = []

    def make(how: str = "well", limits: Limits | None = None) -> Launcher:
        made.append(Launcher(JobBoard(subject.data_dir), command(how), limits))
        return made[-1]

    yield make
    for launcher in made:
        launcher.close()

"""Fixtures that several test modules use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from precompute.command_line import run_command
from precompute.unified import main
from tests.tiny import TinyFiles, make_all

# Where other work is done on the machine, any call may take long.
settings.register_profile("lightwell", deadline=None)
settings.load_profile("lightwell")

Run = Callable[..., int]


def run(files: TinyFiles, *arguments: str) -> int:
    """Run the orchestrator on the tiny model type; returns its exit code."""
    base = ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(files.root / "data")]
    return run_command(main, [*base, *arguments])


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyFiles]:
    """The tiny model type with everything computed, in `data` beside its files; not to be changed."""
    files = make_all(tmp_path_factory.mktemp("mine"))
    assert run(files) == 0
    yield files
    assert Path(files.root).exists()

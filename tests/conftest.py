"""Fixtures that several test modules use."""

from __future__ import annotations

import os
import sys
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

LONGEST_FIRST = ("test_interruption.py", "test_demo.py", "test_own_model.py")
"""Files whose tests take longest: a process that begins one of them last would work alone in the end."""

Run = Callable[..., int]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first; all others stay in their order."""
    items.sort(key=lambda item: item.path.name not in LONGEST_FIRST)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads after a test as before it: the order of sums, and so the last bits, depend on them."""
    torch = sys.modules.get("torch")
    wanted = int(os.environ.get("OMP_NUM_THREADS", "0")) or (torch.get_num_threads() if torch else 0)
    yield
    torch = sys.modules.get("torch")
    if torch and wanted and torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


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

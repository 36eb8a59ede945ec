"""Sweeps by name: as a job, computed once, and stale when the checkpoint or the texts change."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from precompute.errors import ConfigError, UsageError
from precompute.jobs.board import JobBoard
from precompute.jobs.costs import Cost
from precompute.jobs.kinds import open_work
from precompute.jobs.launcher import Launcher
from precompute.jobs.orders import Order
from precompute.sweeps.results import open_sweep
from tests.made_autoencoder import add_autoencoder, make_autoencoder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_autoencoder(tmp_path, n_texts=30)
    (tmp_path / "my.toml").write_text(
        '[autoencoders.tiny]\ncheckpoint = "autoencoder"\ndataset = "texts.jsonl"\n'
    )
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.full
def test_a_sweep_is_a_job_that_is_done_once(root: Path) -> None:
    config, name = root / "my.toml", "sweep:tiny:quick"
    work, launcher = open_work(name, root / "data", config), Launcher(JobBoard(root / "data"))
    assert [status.state for status in work.status()] == ["missing"]  # type: ignore[attr-defined]
    cost = work.cost(work.status(), ("best_of_k",))  # type: ignore[attr-defined]
    assert cost is not None
    assert (cost.steps, cost.seconds > 0, cost.n_bytes > 0) == (("best_of_k",), True, True)
    order = Order(work, config=config, workers=1)
    submitted = launcher.submit(order)
    assert submitted is not None
    until = time.monotonic() + 120
    while launcher.board.find(submitted.record.id).is_active:
        assert time.monotonic() < until
        time.sleep(0.1)
    record = launcher.board.find(submitted.record.id)
    assert (record.state, record.error) == ("finished", None), record.log.read_text()
    assert record.done[0].n_bytes > 0
    assert [status.state for status in work.status()] == ["fresh"]  # type: ignore[attr-defined]
    assert launcher.submit(order) is None
    assert work.cost(work.status(), ("best_of_k",)) == Cost((), 0.0, 0)  # type: ignore[attr-defined]
    launcher.close()
    assert open_sweep(root / "data" / "eval_results" / "tiny-quick.json").k_values == [1, 2, 4, 8]
    add_autoencoder(root, "autoencoder", seed=9)
    (status,) = work.status()  # type: ignore[attr-defined]
    assert (status.state, status.reason) == ("stale", "samples changed")


def test_names_that_there_are_not_are_told(root: Path) -> None:
    with pytest.raises(UsageError, match="work"):
        open_work("sweep:tiny:slow", root / "data", root / "my.toml")
    (root / "my.toml").write_text('[autoencoders.tiny]\ncheckpoints = "autoencoder"\n')
    with pytest.raises(ConfigError, match=r"autoencoders\.tiny"):
        open_work("sweep:tiny:quick", root / "data", root / "my.toml")

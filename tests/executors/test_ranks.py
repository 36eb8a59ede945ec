"""Processes that torchrun starts: each shard once, one leads, and the store has the bytes of one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.executors.ranks import Ranks, Team
from precompute.features.activations import encode_shards
from precompute.features.activations import run as encode_all
from precompute.progress import Progress, Silent
from tests.conftest import run
from tests.stores.store_contract import tree
from tests.test_unified import contents
from tests.tiny import TinyFiles, make_all

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
MODEL_WORK = ("--only", "activations,transpose", "--device", "cpu")


@given(n=st.integers(0, 50), world_size=st.integers(1, 9))
def test_together_ranks_have_each_shard_once(n: int, world_size: int) -> None:
    own = [Ranks(rank, world_size).own(range(n)) for rank in range(world_size)]
    assert sorted(shard for shards in own for shard in shards) == list(range(n))
    assert max(map(len, own)) - min(map(len, own)) <= 1


def test_a_process_alone_leads_and_does_all() -> None:
    done: list[str] = []

    def do(task: str, progress: Progress) -> None:
        done.append(task)

    with Team(Ranks(), do) as team:
        team.lead("one", Silent())
        team.lead("two", Silent())
    assert done == ["one", "two"]


def together(files: TinyFiles, *arguments: str) -> subprocess.CompletedProcess[str]:
    base = ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(files.root / "data")]
    return subprocess.run(
        [*TORCHRUN, "-m", "precompute.unified", *base, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """A corpus of several shards."""
    return make_all(tmp_path_factory.mktemp("mine"), n_texts=900)


@pytest.mark.full
def test_two_processes_write_the_store_of_one(files: TinyFiles) -> None:
    ended = together(files, *MODEL_WORK)
    assert ended.returncode == 0, ended.stderr
    assert "3 steps computed" in ended.stderr
    assert ended.stderr.count("steps computed") == 1
    directory = files.root / "data" / "precomputed_mine"
    found = contents(directory)
    assert sum(name.endswith("acts.npy") and name.startswith("activations/") for name in found) >= 4
    shutil.rmtree(directory)
    one = subprocess.run(
        [sys.executable, "-m", "precompute.unified", "--model-type", "mine", "--config", str(files.config),
         "--data-dir", str(files.root / "data"), *MODEL_WORK],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert one.returncode == 0, one.stderr
    assert contents(directory) == found


def test_each_process_writes_its_own_shards_alone(
    files: TinyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from precompute.pipeline.runner import Runner
    from precompute.pipeline.step import StepContext
    from precompute.pipeline.subjects import open_subject
    from precompute.settings import Operations
    from tests.pipeline.test_runner import Log

    assert run(files, "--only", "corpus") == 0
    subject = open_subject("mine", files.root / "data", files.config)
    from precompute.pipeline.registry import steps

    step = steps()["activations"]

    def context(out: Path) -> StepContext:
        out.mkdir()
        return Runner(subject, Operations(device="cpu"), Log())._context(step, out, Silent())

    encode_all(context(tmp_path / "whole"))
    whole = tree(tmp_path / "whole" / "activations")
    parts = tmp_path / "parts"
    shared = context(parts)
    encode_shards((0, 2, 3), shared, Ranks(1, 2))
    assert sorted(path.name for path in (parts / "activations" / "parts").iterdir()) == ["00002"]
    encode_shards((0, 2, 3), shared, Ranks(0, 2))
    encode_all(shared)
    assert tree(parts / "activations") == whole


@pytest.mark.full
def test_questions_and_errors_end_all_processes(files: TinyFiles) -> None:
    asked = together(files, "--status")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.count("mine: ") == 1
    refused = together(files, "--only", "nonsense")
    assert refused.returncode != 0
    lines = refused.stderr.splitlines()
    (said,) = [line for line in lines if line.startswith("lightwell:")]
    assert "unknown step 'nonsense'" in said
    assert not any(line.startswith("[rank1]") for line in lines), refused.stderr

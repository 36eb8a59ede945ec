"""A cluster of Dask: the contract, workers that die, and the whole pipeline with the bytes of threads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from precompute.errors import UsageError, WorkerLostError
from precompute.executors.choice import Choice, open_executor
from precompute.executors.cluster import DaskCluster
from precompute.executors.executor import Executor
from precompute.executors.local import Threads
from precompute.features import transpose as transposing
from precompute.features.transpose import transpose
from precompute.progress import Silent
from tests.builders import random_row_store
from tests.conftest import run
from tests.executors.dask_cluster import Cluster, cluster
from tests.executors.executor_contract import ExecutorContract, squaring
from tests.stores.store_contract import tree
from tests.test_unified import contents
from tests.tiny import TinyFiles


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("dask"), "one", "two") as made:
        yield made


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose workers a test may kill."""
    with cluster(tmp_path, "one", "two") as made:
        yield made


def on(running: Cluster, said: list[str] | None = None) -> Executor:
    say = [].append if said is None else said.append
    return open_executor(Choice("dask", scheduler=running.address, say=say))


class TestDask(ExecutorContract):
    @pytest.fixture
    def executor(self, running: Cluster) -> Iterator[Executor]:
        with on(running) as made:
            yield made


class Killing(Silent):
    """Progress that kills a worker once some of a step is done."""

    def __init__(self, running: Cluster, name: str, after: int) -> None:
        self._running, self._name, self._after, self.n_told = running, name, after, 0

    def advance(self, n: int = 1) -> None:
        self.n_told += 1
        if self.n_told == self._after:
            self._running.kill(self._name)


@pytest.mark.full
def test_a_worker_killed_in_mid_step_changes_no_byte(
    mortal: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transposing, "MOST_PASSES", {"npy": 0})
    rows = random_row_store(tmp_path / "rows", n_examples=240, d_sae=3000, examples_per_shard=4)
    transpose(rows, tmp_path / "threads", "npy", Threads(2), Silent())
    with on(mortal) as executor:
        assert set(executor.map(squaring, range(20))) == {n * n for n in range(20)}
        # 60 shards are sorted, then 3 blocks gathered.
        progress = Killing(mortal, "one", after=20)
        transpose(rows, tmp_path / "dask", "npy", executor, progress)
    assert progress.n_told == 63
    assert list(mortal.workers) == ["two"]
    assert tree(tmp_path / "dask") == tree(tmp_path / "threads")


def killing_once(directory: Path) -> Callable[[int], int]:
    """The first worker that begins piece 5 is killed while it is at it."""

    def one(n: int) -> int:
        if n == 5:
            try:
                (directory / "killed").mkdir()
            except FileExistsError:
                return n
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    return one


@pytest.mark.full
def test_a_piece_whose_worker_dies_is_worked_on_by_another(mortal: Cluster, tmp_path: Path) -> None:
    with on(mortal) as executor:
        assert list(executor.map(partial(killing_once, tmp_path), range(20))) == list(range(20))
    assert (tmp_path / "killed").is_dir()


def dying() -> Callable[[int], int]:
    return lambda n: os.kill(os.getpid(), signal.SIGKILL) or n


@pytest.mark.full
def test_a_piece_that_kills_its_workers_ends_the_run(mortal: Cluster) -> None:
    mortal.add("three")
    mortal.add("four")
    with on(mortal) as executor, pytest.raises(WorkerLostError, match="lost with 4 workers"):
        list(executor.map(dying, range(1)))


@pytest.mark.full
def test_pieces_wait_for_a_first_worker(tmp_path: Path) -> None:
    said: list[str] = []
    with cluster(tmp_path) as made, on(made, said) as executor:
        found = executor.map(squaring, range(3))
        made.add("late")
        assert list(found) == [0, 1, 4]
    assert said == ["waiting for workers"]


@pytest.mark.full
def test_a_scheduler_that_goes_away_ends_the_run(tmp_path: Path) -> None:
    with cluster(tmp_path, "one") as made, on(made) as executor:
        found = executor.map(squaring, range(1000))
        assert next(found) == 0
        made.scheduler.kill()
        with pytest.raises(WorkerLostError, match="connection to the Dask scheduler was lost"):
            list(found)


@pytest.mark.full
def test_a_scheduler_that_went_away_between_two_steps_ends_the_run(tmp_path: Path) -> None:
    with cluster(tmp_path, "one") as made, on(made) as executor:
        assert list(executor.map(squaring, range(3))) == [0, 1, 4]
        made.scheduler.kill()
        made.scheduler.wait()
        with pytest.raises(WorkerLostError, match="connection to the Dask scheduler was lost"):
            list(executor.map(squaring, range(3)))


def test_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precompute.executors.cluster.SECONDS_TO_CONNECT", 1)
    with (
        open_executor(Choice("dask", scheduler="tcp://127.0.0.1:9")) as executor,
        pytest.raises(UsageError, match=r"no answer from tcp://127.0.0.1:9 .* expected a Dask scheduler"),
    ):
        list(executor.map(squaring, range(3)))


@pytest.fixture
def uncomputed(computed: TinyFiles, tmp_path: Path) -> TinyFiles:
    """The tiny model type with the model's work done, and nothing else."""
    shutil.copytree(computed.root, tmp_path / "copy", symlinks=True)
    files = TinyFiles(tmp_path / "copy")
    shutil.rmtree(files.root / "data" / "precomputed_mine")
    return files


@pytest.mark.parametrize("method", ["parallel", "fast"])
def test_every_step_has_the_bytes_of_threads(
    computed: TinyFiles,
    uncomputed: TinyFiles,
    running: Cluster,
    method: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = ["--executor", "dask", "--scheduler", running.address, "--method", method]
    assert run(uncomputed, *chosen) == 0, capsys.readouterr().err
    expected = contents(computed.root / "data" / "precomputed_mine")
    assert contents(uncomputed.root / "data" / "precomputed_mine") == expected


def test_processes_have_the_bytes_of_threads(computed: TinyFiles, uncomputed: TinyFiles) -> None:
    assert run(uncomputed, "--executor", "processes", "--workers", "2") == 0
    expected = contents(computed.root / "data" / "precomputed_mine")
    assert contents(uncomputed.root / "data" / "precomputed_mine") == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--executor", "dask"], "--executor dask alone; expected the address of a Dask scheduler"),
        (["--scheduler", "tcp://a:1"], "--scheduler with --executor threads; expected --executor dask"),
        (["--executor", "dask", "--cores", "2"], "--cores with --executor dask; expected --executor slurm"),
        (["--executor", "dask", "--scheduler", "nonsense"], "no answer from nonsense"),
        (
            ["--executor", "slurm", "--cores", "2", "--memory", "foo"],
            "--memory foo; expected the memory of a",
        ),
        (
            ["--executor", "slurm", "--cores", "2", "--memory", "1"],
            "--memory 1; expected the memory of a job",
        ),
    ],
)
def test_wrong_options_are_one_line(
    uncomputed: TinyFiles, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(uncomputed, *options) == 2
    errors = capsys.readouterr().err
    assert f"lightwell: {said}" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("slurm", "dask_jobqueue")])
def test_a_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setattr("precompute.executors.choice.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"pip install 'lightwell\[{name}\]'") as caught:
        open_executor(Choice(name, scheduler="tcp://127.0.0.1:1"))
    assert package.replace("_", "-") in str(caught.value)


def slow() -> Callable[[int], None]:
    return lambda _: time.sleep(0.2)


CTRL_C = """
import signal
import sys
from precompute.command_line import run_command
from precompute.executors.choice import Choice, open_executor
from tests.executors.test_cluster import slow

def main(argv):
    with open_executor(Choice("dask", scheduler=argv[0])) as executor:
        for _ in executor.map(slow, range(10_000)):
            print("one", flush=True)
    return 0

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run_command(main))
"""


@pytest.mark.full
def test_ctrl_c_cancels_what_is_in_flight(running: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CTRL_C)
    process = subprocess.Popen(
        [sys.executable, str(script), running.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors == "lightwell: interrupted\n"
    with on(running) as executor:
        assert isinstance(executor, DaskCluster)
        assert list(executor.map(squaring, range(3))) == [0, 1, 4]
        assert sum(len(held) for held in executor._client.processing().values()) == 0

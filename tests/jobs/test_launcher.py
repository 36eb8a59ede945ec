"""Jobs as processes: each work once, every end in words, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from precompute.artifacts.digests import file_digest
from precompute.jobs import processes
from precompute.jobs.board import JobBoard
from precompute.jobs.launcher import Launcher, Limits
from precompute.jobs.orders import Order
from precompute.jobs.processes import started_by
from precompute.jobs.record import JobError, JobRecord
from precompute.jobs.works import ModelTypeWork
from precompute.pipeline.plan import Plan
from precompute.pipeline.subjects import Subject
from tests.conftest import run
from tests.jobs.conftest import take_away
from tests.jobs.misbehaving import MARK
from tests.tiny import TinyFiles

Launch = Callable[..., Launcher]


def until(wanted: Callable[[], object], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.05)


def order(subject: Subject, files: TinyFiles, *asked: str, **options: object) -> Order:
    return Order(ModelTypeWork(subject), asked or ("histograms",), files.config, **options)  # type: ignore[arg-type]


def ended(launcher: Launcher, record: JobRecord, seconds: float = 60) -> JobRecord:
    until(lambda: not launcher.board.find(record.id).is_active, seconds)
    return launcher.board.find(record.id)


def submitted(launcher: Launcher, asked: Order) -> JobRecord:
    submission = launcher.submit(asked)
    assert submission is not None
    return submission.record


def state(subject: Subject, step: str = "histograms") -> str:
    return Plan(subject).status(step).state


def test_a_job_publishes_what_the_command_publishes(
    subject: Subject, files: TinyFiles, computed: TinyFiles, launch: Launch
) -> None:
    launcher = launch()
    found = ended(launcher, submitted(launcher, order(subject, files)))
    assert (found.state, found.error) == ("finished", None), found.log.read_text()
    assert [done.step for done in found.done] == ["histograms"]
    assert found.n_bytes > 0
    mine = file_digest(subject.directory / "histograms.parquet")
    assert mine == file_digest(computed.root / "data" / "precomputed_mine" / "histograms.parquet")
    assert launcher.submit(order(subject, files)) is None


def test_however_many_ask_it_is_computed_once(
    subject: Subject, files: TinyFiles, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of two servers on one data directory."""
    monkeypatch.setenv(MARK, str(tmp_path / "runs"))
    launchers = [launch("slowly"), launch("slowly")]
    found: list[JobRecord] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(submitted(launchers[n % 2], order(subject, files))))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.id for record in found}) == 1
    assert ended(launchers[0], found[0]).state == "finished"
    assert len((tmp_path / "runs").read_text().splitlines()) == 1


def test_a_larger_job_does_a_smaller_ones_work(subject: Subject, files: TinyFiles, launch: Launch) -> None:
    launcher = launch("very-slowly")
    whole = submitted(launcher, Order(ModelTypeWork(subject), (), files.config))
    submission = launcher.submit(order(subject, files))
    assert submission is not None
    assert (submission.record.id, submission.attached) == (whole.id, True)
    launcher.board.cancel(whole.id)


WORDS = {
    "killed": "SIGKILL",
    "out-of-memory": "memory ran out",
    "exits": "sys.exit(3)",
    "raises": "ZeroDivisionError: a number by zero",
    "disk-full": "no space left",
}


@pytest.mark.parametrize("how", WORDS)
def test_however_a_job_dies_its_record_says_why(
    subject: Subject, files: TinyFiles, launch: Launch, how: str
) -> None:
    launcher = launch(how)
    found = ended(launcher, submitted(launcher, order(subject, files)))
    assert found.state == "failed"
    assert WORDS[how] in (found.error or "")
    assert state(subject) == "missing"
    again = launch()
    assert ended(again, submitted(again, order(subject, files))).state == "finished"
    assert state(subject) == "fresh"


def test_a_kill_by_the_system_for_want_of_memory_is_told_from_others(
    subject: Subject, files: TinyFiles, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom_kill 4\n")
    monkeypatch.setattr(processes, "MEMORY_EVENTS", events)
    launcher = launch("very-slowly")
    record = submitted(launcher, order(subject, files))
    until(lambda: launcher.board.find(record.id).n_done)
    events.write_text("low 0\noom_kill 5\n")
    owner = launcher.board.find(record.id).owner
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    assert "because memory ran out" in (ended(launcher, record).error or "")


def test_progress_rate_and_time_left(subject: Subject, files: TinyFiles, launch: Launch) -> None:
    launcher = launch("very-slowly")
    record = submitted(launcher, order(subject, files))
    until(lambda: launcher.board.find(record.id).n_done > 10)
    now = launcher.board.find(record.id)
    assert (now.step, now.n_total, now.unit) == ("histograms", 1000, "rows")
    assert now.rate == pytest.approx(1000 / 60, rel=0.5)
    assert now.seconds_left == pytest.approx((1000 - now.n_done) / now.rate)
    launcher.board.cancel(record.id)


@pytest.mark.parametrize("how", ["with-children", "deaf"])
def test_cancelling_leaves_no_process(subject: Subject, files: TinyFiles, launch: Launch, how: str) -> None:
    launcher = launch(how)
    record = submitted(launcher, order(subject, files))
    n_processes = 3 if how == "with-children" else 1
    until(lambda: len(started_by(record.id)) == n_processes and launcher.board.find(record.id).n_total)
    launcher.board.cancel(record.id)
    assert started_by(record.id) == []
    found = launcher.board.find(record.id)
    assert (found.state, found.error) == ("cancelled", None)
    assert state(subject) == "missing"


def test_the_queue_is_bounded_and_in_order(subject: Subject, files: TinyFiles, launch: Launch) -> None:
    take_away(subject, "idf", "logit_stats", "neighbors")
    launcher = launch("very-slowly", Limits(running=1, waiting=2))
    running = submitted(launcher, order(subject, files))
    first = submitted(launcher, order(subject, files, "idf"))
    second = submitted(launcher, order(subject, files, "logit_stats"))
    with pytest.raises(JobError, match="2 jobs wait already"):
        launcher.submit(order(subject, files, "neighbors"))
    assert [r.state for r in launcher.board.active()] == ["running", "queued", "queued"]
    launcher.board.cancel(second.id)
    launcher.board.cancel(running.id)
    assert ended(launcher, first).state == "finished"
    assert launcher.board.find(second.id).state == "cancelled"
    assert state(subject, "logit_stats") == "missing"


def test_closing_ends_jobs_resumably(subject: Subject, files: TinyFiles, launch: Launch) -> None:
    launcher = launch("with-children")
    record = submitted(launcher, order(subject, files))
    until(lambda: len(started_by(record.id)) == 3 and launcher.board.find(record.id).n_total)
    launcher.close()
    assert started_by(record.id) == []
    found = JobBoard(subject.data_dir).find(record.id)
    assert (found.state, found.error) == ("interrupted", "the server that started it has ended")
    again = launch()
    assert ended(again, submitted(again, order(subject, files))).state == "finished"


SERVER = """
import sys, time
from precompute.jobs.board import JobBoard
from precompute.jobs.launcher import Launcher
from precompute.jobs.works import ModelTypeWork
from precompute.jobs.orders import Order
from precompute.pipeline.subjects import open_subject
from tests.jobs.misbehaving import command
subject = open_subject("mine", sys.argv[1], sys.argv[2])
launcher = Launcher(JobBoard(subject.data_dir), command(sys.argv[3]))
print(launcher.submit(Order(ModelTypeWork(subject), ("histograms",), sys.argv[2])).record.id, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["with-children", "deaf"])
def test_a_killed_server_leaves_nothing_behind(subject: Subject, files: TinyFiles, how: str) -> None:
    command = [sys.executable, "-c", SERVER, str(subject.data_dir), str(files.config), how]
    board = JobBoard(subject.data_dir)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        job = server.stdout.readline().strip()
        until(lambda: board.find(job).n_total)
        server.kill()
    until(lambda: started_by(job) == [], 10)
    found = board.find(job)
    assert (found.state, found.error) == ("interrupted", "the server that started it has ended")


def test_a_run_in_a_terminal_is_a_job_like_others(subject: Subject, files: TinyFiles) -> None:
    assert run(files, "--only", "histograms") == 0
    (found,) = JobBoard(subject.data_dir).records()
    assert (found.origin, found.state) == ("terminal", "finished")
    assert [done.step for done in found.done] == ["histograms"]
    assert run(files) == 0  # With nothing to do there is nothing to record.
    assert len(JobBoard(subject.data_dir).records()) == 1


def test_a_run_in_a_terminal_can_be_cancelled_from_a_page(
    subject: Subject, files: TinyFiles, tmp_path: Path
) -> None:
    code = (
        "import sys; from tests.jobs import misbehaving as m; from precompute.pipeline.registry import steps;"
        "object.__setattr__(steps()['histograms'], 'run', m.WAYS['very-slowly']);"
        "from precompute.command_line import run_command; from precompute.unified import main;"
        "sys.exit(run_command(main))"
    )
    options = ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(subject.data_dir)]
    board = JobBoard(subject.data_dir)
    with subprocess.Popen([sys.executable, "-c", code, *options], stderr=subprocess.PIPE) as command:
        until(lambda: board.active() and board.active()[0].n_total)
        board.cancel(board.active()[0].id)
        command.wait(10)
    assert [record.state for record in board.records()] == ["cancelled"]
    assert not psutil.pid_exists(command.pid)


@pytest.mark.parametrize("job", [None, 3, "", "../../etc/passwd", "20260101-000000-000000abcd", ["x"]])
def test_a_job_that_is_not_there(tmp_path: Path, job: object) -> None:
    with pytest.raises(JobError, match="no job"):
        JobBoard(tmp_path).find(job)


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert JobBoard(tmp_path / "data").active() == ()
    assert not (tmp_path / "data").exists()


def test_a_record_that_cannot_be_read_is_passed_over(subject: Subject) -> None:
    directory = subject.directory / ".jobs"
    directory.mkdir(exist_ok=True)
    for name, content in (("20260101-000000-000000abcd", "{"), ("20260101-000000-000000abce", '{"id": 1}')):
        (directory / f"{name}.json").write_text(content)
    assert JobBoard(subject.data_dir).records() == ()


def test_damage_that_only_reading_finds_is_repaired(
    files: TinyFiles, subject: Subject, launch: Launch
) -> None:
    path = (subject.directory / "idf.parquet").resolve()
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    launcher = launch()
    assert launcher.submit(order(subject, files, "idf")) is None
    record = submitted(launcher, order(subject, files, "idf", verify=True))
    assert ended(launcher, record).state == "finished"
    assert (subject.directory / "idf.parquet").read_bytes() == whole

"""What is said of jobs, asks as they are written, and the states that pages look up."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import asks, job_words
from dashboard.address import AddressError
from dashboard.asks import Ask
from dashboard.components.compute import ask_of_command
from dashboard.managers import ThreadManager, private_directory
from dashboard.states import States
from precompute.jobs.costs import Cost
from precompute.jobs.record import JobRecord, StepDone
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import SETTINGS_FILE
from precompute.reading import open_artifacts
from tests.tiny import TinyFiles

NAMES = ("mine", "full")
some_asks = st.builds(
    Ask,
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(list(steps())), max_size=5, unique=True).map(tuple),
    st.booleans(),
)


@given(some_asks)
def test_an_ask_is_read_as_it_was_written(ask: Ask) -> None:
    assert asks.parse(ask.key, NAMES) == ask


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_an_odd_ask_is_refused_in_words(text: object) -> None:
    try:
        found = asks.parse(text, NAMES)
    except AddressError:
        return
    assert asks.parse(found.key, NAMES) == found


def test_commands_that_errors_name_become_buttons() -> None:
    base = "python -m precompute.unified --model-type mine"
    assert ask_of_command(base) == Ask("mine")
    assert ask_of_command(f"{base} --only idf,tfidf --data-dir d") == Ask("mine", ("idf", "tfidf"))
    assert ask_of_command(f"{base} --verify", "idf") == Ask("mine", ("idf",), verify=True)
    assert ask_of_command(f"{base} --verify") is None
    assert ask_of_command("python -m precompute.stores convert") is None


@pytest.mark.parametrize(
    ("seconds", "n_bytes", "said"),
    [
        (0.2, 0, "about 1 s, under 1 MB"),
        (41.3, 123e6, "about 40 s, 120 MB"),
        (200, 5.4e6, "about 3 min, 5 MB"),
        (7300, 12.34e9, "about 2.0 h, 12.3 GB"),
    ],
)
def test_expected_costs_are_as_exact_as_they_can_be(seconds: float, n_bytes: float, said: str) -> None:
    assert job_words.about(Cost((), seconds, round(n_bytes))) == said


def record(**values: object) -> JobRecord:
    base = {
        "id": "20260101-000000-000000abcd",
        "model_type": "mine",
        "data_dir": "d",
        "asked": ("idf",),
        "steps": ("corpus", "idf"),
        "fingerprints": {},
        "state": "running",
    }
    return JobRecord(**{**base, **values})  # type: ignore[arg-type]


def test_progress_in_words() -> None:
    now = record(
        step="idf",
        done=(StepDone(step="corpus", seconds=1, n_bytes=2),),
        n_done=250,
        n_total=1000,
        unit="rows",
        rate=50.0,
    )
    assert job_words.at_work(now) == "Step 2 of 2: idf"
    assert job_words.progress(now) == "250 of 1,000 rows · 50.0 rows/s · 20 s left"
    assert job_words.share(now) == 0.25
    assert job_words.at_work(record(state="queued"), 1) == "Waiting for its turn, 1 job before it"
    assert "another run computes it" in job_words.at_work(record(step="idf", waiting=True))
    assert job_words.progress(record(step="idf")) == ""


def test_ends_in_words() -> None:
    import time

    ended = time.time() - 125
    assert job_words.how_it_ended(record(state="failed", error="x", ended=ended)) == "It failed 2 min ago: x."
    assert "What was finished is kept" in job_words.how_it_ended(record(state="cancelled", ended=ended))


def test_states_follow_what_is_published_and_set(computed: TinyFiles, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(computed.root / "data", tmp_path / "data", symlinks=True)
    artifacts = open_artifacts("mine", tmp_path / "data", computed.config)
    states = States(artifacts)
    assert {status.state for status in states.all().values()} == {"fresh"}
    before = states.version_of(("idf",))
    (artifacts.directory / SETTINGS_FILE).write_text("n_bins = 7\n")
    assert states.of("histograms").state == "stale"  # type: ignore[union-attr]
    artifacts.subject.shelf.remove("idf", steps()["idf"].outputs)
    assert states.of("idf").state == "missing"  # type: ignore[union-attr]
    assert states.version_of(("idf",)) != before


def test_callbacks_keep_their_answers_in_private_as_json() -> None:
    manager = ThreadManager()
    try:
        assert manager.directory.stat().st_mode & 0o777 == 0o700
        seen = [file.stat().st_mode & 0o077 for file in manager.directory.iterdir()]
        assert seen
        manager.handle.set("key", [{"job": "x"}])
        assert manager.handle.get("key") == [{"job": "x"}]
        assert not list(manager.directory.rglob("*.val"))
    finally:
        manager.close()
    assert not manager.directory.exists()


def test_equal_calls_get_answers_of_their_own() -> None:
    manager = ThreadManager()
    try:
        keys = {manager.build_cache_key(print, ["same"], [], []) for _ in range(10)}
        jobs = [
            manager.call_job_fn(key, lambda key, *_: manager.handle.set(key, [key]), [], {}) for key in keys
        ]
        for key, job in zip(keys, jobs, strict=True):
            while not manager.result_ready(key):
                pass
            assert manager.job_running(job)  # Its answer may be on its way.
            assert manager.get_result(key, job) == [key]
        assert len(keys) == 10
    finally:
        manager.close()


def test_directories_of_killed_servers_are_removed() -> None:
    dead = private_directory()
    gone = dead.with_name(re.sub(r"-\d+-", "-4194305-", dead.name))  # No process has such a number.
    dead.rename(gone)
    living = private_directory()
    assert not gone.exists()
    assert str(os.getpid()) in living.name
    living.rmdir()

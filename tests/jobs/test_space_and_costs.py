"""What freeing an artifact takes away, and what computing one is expected to take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.jobs.board import JobBoard
from precompute.jobs.costs import SECONDS_TO_START, Cost, expected_cost
from precompute.jobs.orders import Order, new_record
from precompute.jobs.processes import this_process
from precompute.jobs.record import JobError, write_record
from precompute.jobs.space import LEFTOVERS, dependants_of, free, leftover_bytes
from precompute.jobs.staged_costs import BYTES_PER_TEXT, Workload, staged_cost
from precompute.jobs.works import ModelTypeWork
from precompute.pipeline.plan import Plan, StepStatus, selection
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import Subject, open_subject
from tests.jobs.conftest import take_away
from tests.tiny import TinyFiles


def test_dependants_are_those_that_a_walk_over_the_inputs_finds() -> None:
    def reads(step: str, wanted: str) -> bool:
        return any(name == wanted or reads(name, wanted) for name in steps()[step].inputs)

    for wanted in steps():
        found = dependants_of(wanted)
        assert set(found.direct) == {name for name in steps() if wanted in steps()[name].inputs}
        assert {*found.direct, *found.others} == {name for name in steps() if reads(name, wanted)}
        assert not set(found.direct) & set(found.others)


def test_freeing_an_artifact_leaves_what_was_computed_from_it(subject: Subject, files: TinyFiles) -> None:
    n_bytes = Plan(subject).status("transpose").n_bytes
    board = JobBoard(subject.data_dir)
    assert free(board, subject, "transpose") >= n_bytes
    states = {status.step: status.state for status in Plan(subject).statuses()}
    assert states["transpose"] == "missing"
    assert states["feature_stats"] == "fresh"
    with pytest.raises(JobError, match="not on disk"):
        free(board, subject, "transpose")


def test_leftovers_of_interrupted_runs(subject: Subject) -> None:
    rest = subject.directory / ".tmp-activations-0123456789ab"
    rest.mkdir()
    (rest / "shard").write_bytes(bytes(5000))
    assert leftover_bytes(subject) == 5000
    assert free(JobBoard(subject.data_dir), subject, LEFTOVERS) == 5000
    assert not rest.exists()


def test_nothing_is_freed_under_a_job(subject: Subject, files: TinyFiles) -> None:
    record = new_record(Order(ModelTypeWork(subject), ("histograms",), files.config), this_process())
    write_record(record)
    board = JobBoard(subject.data_dir)
    with pytest.raises(JobError, match="a job is at work on mine"):
        free(board, subject, "idf")
    assert Plan(subject).status("idf").state == "fresh"


@pytest.mark.parametrize("name", ["", "..", "../..", "nope", "versions"])
def test_only_artifacts_can_be_freed(subject: Subject, name: str) -> None:
    with pytest.raises(JobError, match="nothing to free"):
        free(JobBoard(subject.data_dir), subject, name)


def test_the_cost_is_that_of_the_last_time(subject: Subject) -> None:
    known = Plan(subject).statuses()
    seconds = next(status.seconds for status in known if status.step == "histograms")
    cost = expected_cost(subject, known, ("histograms",))
    assert cost.steps == ("histograms",)
    assert cost.seconds == pytest.approx((seconds or 0) + SECONDS_TO_START)
    assert expected_cost(subject, known, ("idf",)).seconds == 0


def test_the_cost_counts_what_is_read(subject: Subject) -> None:
    take_away(subject, "transpose", "idf")
    cost = expected_cost(subject, Plan(subject).statuses(), selection(("histograms",), ()))
    assert cost.steps == ("transpose", "histograms")
    assert cost.n_bytes > 0


COUNTS = st.integers(1, 10**7)


@given(COUNTS, COUNTS, st.integers(1, 10**10), st.integers(1, 8192))
def test_vectors_of_more_texts_and_by_larger_models_cost_more(
    n: int, more: int, weights: int, d: int
) -> None:
    missing = [StepStatus(s, "", "missing", "", 0, None, None) for s in ("embeddings", "neighbors", "map")]
    names = [status.step for status in missing]

    def cost(texts: int, weight_bytes: int) -> Cost:
        found = staged_cost(Workload(texts, texts * BYTES_PER_TEXT, weight_bytes, d), missing, names)
        assert found is not None
        return found

    least = cost(n, weights)
    assert least.seconds > SECONDS_TO_START
    assert least.n_bytes >= 4 * n * d
    for dearer in (cost(n + more, weights), cost(n, weights + more * 10**3)):
        assert dearer.seconds > least.seconds
    assert staged_cost(Workload(0, 0, weights, d), missing, names) is None


def test_the_cost_before_anything_was_computed(computed: TinyFiles, tmp_path_factory: object) -> None:
    """By the size of the corpus and the SAE, within reason."""
    done = open_subject("mine", computed.root / "data", computed.config)
    bare = open_subject("mine", computed.root / "elsewhere", computed.config)
    cost = expected_cost(bare, Plan(bare).statuses(), selection((), ()))
    assert cost.steps == tuple(steps())
    n_bytes = sum(status.n_bytes for status in Plan(done).statuses())
    assert n_bytes / 30 < cost.n_bytes < n_bytes * 30
    assert cost.seconds > SECONDS_TO_START

"""The runner, on a small registry of its own: order, reuse, failure, not applicable, full disks."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from precompute.artifacts.locks import ArtifactLock
from precompute.config import CorpusConfig, ModelType
from precompute.errors import DiskSpaceError, NotApplicableError
from precompute.pipeline import plan, registry, runner
from precompute.pipeline.plan import Plan, StepStatus
from precompute.pipeline.runner import Outcome, Runner
from precompute.pipeline.step import Step, StepContext
from precompute.pipeline.subjects import Subject
from precompute.progress import Progress, Silent
from precompute.settings import Operations, Settings

MODEL_TYPE = ModelType(name="toy", model="m", sae="s", corpus=CorpusConfig(builtin=True))


class Log:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, step: Step, reason: str) -> Progress:
        self.lines.append(f"started {step.name}")
        return Silent()

    def waiting(self, step: Step) -> None:
        self.lines.append(f"waiting {step.name}")

    def ended(self, status: StepStatus) -> None:
        self.lines.append(f"ended {status.step} {status.state}")

    def left_out(self, step: Step, reason: str) -> None:
        self.lines.append(f"left out {step.name}: {reason}")


def writes(value: Callable[[StepContext], Any]) -> Callable[[StepContext], None]:
    def run(context: StepContext) -> None:
        context.write_record("", {})  # an output of every step, to see that hidden names are kept too
        (context.out / ".json").rename(context.out / "note.json")
        output = next(iter(context.out.parent.glob(".tmp-*"))).name.split("-")[1]
        (context.out / f"{output}.json").write_text(json.dumps(value(context)))

    return run


def toy_steps(**runs: Callable[[StepContext], None]) -> dict[str, Step]:
    """a -> b -> c, and d that reads a."""
    inputs = {"a": (), "b": ("a",), "c": ("b",), "d": ("a",)}
    default = {
        "a": writes(lambda c: c.settings.top_k),
        "b": writes(lambda c: c.record("a") if c.record("a") else None),  # type: ignore[truthy-bool]
        "c": writes(lambda c: 3),
        "d": writes(lambda c: c.settings.n_bins),
    }
    reads = {"a": ("top_k",), "b": (), "c": (), "d": ("n_bins",)}
    return {
        name: Step(
            name=name,
            version=1,
            summary=f"Step {name}.",
            outputs=(f"{name}.json",),
            inputs=inputs[name],
            settings=reads[name],
            run=runs.get(name, default[name]),
        )
        for name in inputs
    }


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Step]], None]:
    """Put a registry in the place of the real one."""

    def put(found: Mapping[str, Step]) -> None:
        for module in (plan, runner, registry):
            monkeypatch.setattr(module, "steps", lambda: found)

    return put


def go(directory: Path, force: bool = False, names: str = "abcd", **settings: int) -> tuple[Outcome, Log]:
    log = Log()
    subject = Subject(MODEL_TYPE, Settings(**settings), directory)
    return Runner(subject, Operations(workers=1), log).run(names, force), log


def test_steps_run_once_in_order(tmp_path: Path, use: Callable[..., None]) -> None:
    use(toy_steps())
    outcome, log = go(tmp_path)
    assert outcome.computed == list("abcd")
    assert [line for line in log.lines if line.startswith("started")] == [f"started {n}" for n in "abcd"]
    assert go(tmp_path)[0].fresh == list("abcd")
    assert go(tmp_path, force=True)[0].computed == list("abcd")


def test_a_setting_runs_its_readers_and_theirs_again(tmp_path: Path, use: Callable[..., None]) -> None:
    use(toy_steps())
    go(tmp_path)
    assert go(tmp_path, n_bins=7)[0].computed == ["d"]
    assert go(tmp_path, n_bins=7, top_k=9)[0].computed == list("abcd")


def test_a_new_version_of_a_step_is_told(tmp_path: Path, use: Callable[..., None]) -> None:
    from dataclasses import replace

    found = toy_steps()
    use(found)
    go(tmp_path)
    found["d"] = replace(found["d"], version=2)
    status = Plan(Subject(MODEL_TYPE, Settings(), tmp_path)).status("d")
    assert (status.state, status.reason) == ("stale", "computed by version 1 of the step, which is at 2")


def test_what_does_not_apply_is_said_and_so_are_its_readers(tmp_path: Path, use: Callable[..., None]) -> None:
    def no(_: StepContext) -> None:
        raise NotApplicableError("there is no output layer")

    use(toy_steps(b=no))
    outcome, log = go(tmp_path)
    assert (outcome.computed, outcome.left_out) == (list("abcd"), []), log.lines
    assert "ended b not applicable" in log.lines
    status = Plan(Subject(MODEL_TYPE, Settings(), tmp_path)).status("c")
    assert status.state == "not applicable"
    assert status.reason == "it reads b, which does not apply: there is no output layer"
    assert not (tmp_path / "b.json").exists()
    assert go(tmp_path)[0].fresh == list("abcd")


def test_a_failure_leaves_what_was_published(tmp_path: Path, use: Callable[..., None]) -> None:
    def fail(_: StepContext) -> None:
        raise ValueError("broken")

    use(toy_steps())
    go(tmp_path)
    before = (tmp_path / "b.json").read_text()
    use(toy_steps(b=fail))
    with pytest.raises(ValueError, match="broken"):
        go(tmp_path, top_k=9)
    assert (tmp_path / "b.json").read_text() == before
    assert not ArtifactLock(tmp_path, "b").is_held()
    use(toy_steps())
    assert go(tmp_path, top_k=9)[0].computed == ["b", "c", "d"]


def test_a_full_disk_is_said_in_words(tmp_path: Path, use: Callable[..., None]) -> None:
    def full(_: StepContext) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    use(toy_steps(a=full))
    with pytest.raises(DiskSpaceError, match="no space left while computing a"):
        go(tmp_path)


def test_a_step_whose_input_is_skipped_is_left_out(tmp_path: Path, use: Callable[..., None]) -> None:
    use(toy_steps())
    outcome, log = go(tmp_path, names="acd")
    assert (outcome.computed, outcome.left_out) == (["a", "d"], ["c"])
    assert "left out c: needs b" in log.lines


def test_an_artifact_that_another_process_computes_is_waited_for_and_not_computed_again(
    tmp_path: Path, use: Callable[..., None]
) -> None:
    import threading

    entered, leave = threading.Event(), threading.Event()

    def slow(context: StepContext) -> None:
        entered.set()
        assert leave.wait(10)
        writes(lambda _: 1)(context)

    use(toy_steps(a=slow))
    first: list[Outcome] = []
    thread = threading.Thread(target=lambda: first.append(go(tmp_path, names="a")[0]))
    thread.start()
    assert entered.wait(10)
    assert Plan(Subject(MODEL_TYPE, Settings(), tmp_path)).status("a").state == "running"
    threading.Timer(0.3, leave.set).start()
    outcome, log = go(tmp_path, names="a")
    thread.join()
    assert first[0].computed == ["a"]
    assert outcome.fresh == ["a"]
    assert log.lines == ["waiting a"]

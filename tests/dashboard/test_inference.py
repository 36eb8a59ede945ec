"""The model's process: it is loaded once, dies without harm, is bounded, and ends with the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard import embedder, inference
from dashboard.embedder import Embedder, Embedders
from dashboard.inference import Inference, InferenceError
from dashboard.server import Server
from dashboard.settings import DashboardSettings
from precompute.config import ModelType, load_config
from precompute.errors import ModelError, UsageError
from tests.tiny import TinyFiles

ROOT = Path(__file__).parents[2]
STUB = """
import json, os, signal, sys, time
print_ = lambda **message: print(json.dumps(message), flush=True)
json.loads(sys.stdin.readline())
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
print_(ready=0.5)
for line in sys.stdin:
    asked = json.loads(line)
    question, given = asked["question"], asked["parameters"]
    if question == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif question == "leave":
        sys.exit(3)
    elif question == "sleep":
        time.sleep(given["seconds"])
        print_(answer="slept")
    elif question == "count":
        counted = globals().get("counted", 0) + 1
        time.sleep(0.3)
        print_(answer=counted)
    elif question == "odd":
        print_(error={"found": "an odd thing", "expected": "an even one", "remedy": "make it even"})
    elif question == "long":
        print_(answer="x" * given["n"])
    else:
        print_(answer=[question, given])
"""
"""A process that answers as the real one does, and does what it is told to."""


@pytest.fixture
def model_type(computed: TinyFiles) -> ModelType:
    return load_config(computed.config).model_type("mine")


class Stub:
    """An `Inference` over the stub, and the processes that it has started."""

    def __init__(self, model_type: ModelType, root: Path) -> None:
        self.started_file = root / "started"
        (root / "stub.py").write_text(STUB)
        command = (sys.executable, str(root / "stub.py"), str(self.started_file))
        self.inference = Inference(model_type, root, command)

    @property
    def started(self) -> list[int]:
        return [int(line) for line in self.started_file.read_text().split()]


@pytest.fixture
def stub(model_type: ModelType, tmp_path: Path):
    made = Stub(model_type, tmp_path)
    yield made
    made.inference.close()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waiting a moment; one that its parent has not yet heard of has."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_it_is_loaded_once_and_answers_are_remembered(stub: Stub) -> None:
    assert stub.inference.state.name == "not started"
    assert stub.inference.state.seconds >= inference.USUAL_SECONDS
    assert stub.inference.ask("a", x=1) == ["a", {"x": 1}]
    assert stub.inference.state.name == "ready"
    assert stub.inference.ask("a", x=2) == ["a", {"x": 2}]
    os.kill(stub.started[0], signal.SIGKILL)
    assert is_gone(stub.started[0])
    assert stub.inference.ask("a", x=1) == ["a", {"x": 1}]
    assert len(stub.started) == 1


def test_one_that_dies_at_work_says_so_and_the_next_question_works(stub: Stub) -> None:
    with pytest.raises(InferenceError, match=r"killed by SIGKILL .* starts anew with the next question$"):
        stub.inference.ask("die")
    assert stub.inference.state.name == "died"
    assert stub.inference.ask("b") == ["b", {}]
    assert stub.inference.state.name == "ready"
    with pytest.raises(InferenceError, match="exit code 3"):
        stub.inference.ask("leave")
    assert stub.inference.ask("c") == ["c", {}]
    assert len(stub.started) == 3


def test_one_that_dies_while_nobody_asks_is_started_anew(stub: Stub) -> None:
    stub.inference.ask("a")
    os.kill(stub.started[0], signal.SIGKILL)
    assert is_gone(stub.started[0])
    assert stub.inference.state.name == "died"
    assert stub.inference.ask("b") == ["b", {}]
    assert len(stub.started) == 2


def test_an_answer_that_takes_too_long_ends_the_process(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "ANSWER_SECONDS", 0.3)
    with pytest.raises(InferenceError, match="no answer within"):
        stub.inference.ask("sleep", seconds=60)
    assert is_gone(stub.started[0])
    assert stub.inference.ask("b") == ["b", {}]


def test_an_error_of_a_question_ends_nothing(stub: Stub) -> None:
    with pytest.raises(UsageError, match="an odd thing; expected an even one"):
        stub.inference.ask("odd")
    assert stub.inference.ask("b") == ["b", {}]
    assert len(stub.started) == 1


def test_questions_wait_for_their_turn_but_not_too_many(stub: Stub) -> None:
    stub.inference.ask("a")
    found: list[object] = []

    def ask(number: int) -> None:
        try:
            found.append(stub.inference.ask("sleep", seconds=0.4, number=number))
        except InferenceError as error:
            found.append(str(error))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(inference.MOST_WAITING + 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("slept") == inference.MOST_WAITING
    assert sum("other questions" in str(answer) for answer in found) == 2
    assert len(stub.started) == 1


def at_once(call: Callable[[], object], n: int) -> list[object]:
    """What n threads are answered that ask at the same time."""
    with ThreadPoolExecutor(n) as pool:
        return [asked.result() for asked in [pool.submit(call) for _ in range(n)]]


def test_the_same_question_of_several_is_answered_once(stub: Stub) -> None:
    assert (
        at_once(lambda: stub.inference.ask("count"), inference.MOST_WAITING) == [1] * inference.MOST_WAITING
    )
    assert len(stub.started) == 1


def test_several_who_ask_at_once_share_one_process_of_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Slow(Embedder):
        def __init__(self, opened: Any) -> None:
            time.sleep(0.05)
            made.append(opened)

    monkeypatch.setattr(embedder, "Embedder", Slow)
    embedders = Embedders()
    opened = SimpleNamespace(version=("a set",))
    assert len(set(map(id, at_once(lambda: embedders._of(opened), 6)))) == 1  # type: ignore[arg-type]
    assert len(made) == 1


def test_what_is_remembered_is_bounded(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "REMEMBERED", 1000)
    for i in range(20):
        stub.inference.ask("long", n=300, i=i)
    kept = stub.inference._answers
    assert len(kept) == 3
    assert sum(line.size for line in kept.values()) <= 1000
    stub.inference.ask("long", n=5000)
    assert len(kept) == 0


def test_closing_does_not_wait_for_an_answer(stub: Stub) -> None:
    stub.inference.ask("a")
    failures: list[str] = []

    def ask() -> None:
        try:
            stub.inference.ask("sleep", seconds=60)
        except InferenceError as error:
            failures.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    stub.inference.close()
    thread.join(timeout=10)
    assert time.monotonic() - began < 5
    assert is_gone(stub.started[0])
    assert "SIGKILL" in failures[0]


def test_a_model_that_is_gone_is_said_before_anything_starts(model_type: ModelType, tmp_path: Path) -> None:
    lost = model_type.model_copy(update={"model": str(tmp_path / "nothing")})
    made = Stub(lost, tmp_path)
    assert "nothing" in str(made.inference.unavailable())
    with pytest.raises(ModelError, match="nothing"):
        made.inference.ask("a")
    assert not made.started_file.exists()


# The real process.


def test_the_real_one_answers_says_what_is_odd_and_ends_with_its_server(computed: TinyFiles) -> None:
    settings = DashboardSettings(model_type="mine", data_dir=computed.root / "data", config=computed.config)
    server = Server(settings)
    real = server.app("mine").server.config["QUERIES"].inference
    try:
        found = real.ask("encode", passage={"text": "return the value"})
        (window,) = found["windows"]
        assert "".join(window["str_tokens"][window["n_special"] :]) == "return the value"
        assert len(found["indptr"]) == len(found["position"]) + 1
        with pytest.raises(UsageError, match="part 5 of a text of 1 parts"):
            real.ask("inspect", passage={"text": "return"}, window=5, position=1, next=None)
        with pytest.raises(InferenceError, match="KeyError"):
            real.ask("nonsense")
        assert real.ask("encode", passage={"text": ""})["windows"] == []
        pid = real._process._process.pid
    finally:
        server.close()
    assert is_gone(pid)


def serving(model_type_config: Path, data_dir: Path) -> subprocess.Popen[str]:
    """A server process that has asked its model a question, and says which process that is."""
    code = f"""
        import sys, threading, time
        from pathlib import Path
        import dashboard.__main__ as served
        from dashboard.server import Server
        def ask(self):
            inference = self.app("mine").server.config["QUERIES"].inference
            inference.ask("encode", passage={{"text": "return the value"}})
            heavy = [name for name in ("torch", "transformers", "peft") if name in sys.modules]
            print("pid", inference._process._process.pid, heavy, flush=True)
        Server.warm_up = ask
        options = ["--config", {str(model_type_config)!r}, "--data-dir", {str(data_dir)!r}]
        served.main(["mine", *options, "--port", "0", "--no-precompute"])
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_server_however_that_ends(computed: TinyFiles, number: signal.Signals) -> None:
    with serving(computed.config, computed.root / "data") as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("pid"))
        _, pid, heavy = line.split(maxsplit=2)
        assert heavy.strip() == "[]"
        assert Path(f"/proc/{pid}").exists()
        process.send_signal(number)
        process.wait(timeout=20)
        assert is_gone(int(pid))

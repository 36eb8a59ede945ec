"""The server's end of the model's process: starts it on first use, asks one question at a time, remembers.

The process loads a model type's model and SAE once and stays warm. It ends with the server, however that
ends, since it notices that its pipe is closed. One that has died is started anew by the next question.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from precompute.artifacts.manifest import canonical_json
from precompute.config import ImportedType, KnownType, with_model
from precompute.errors import LightwellError, UsageError
from precompute.models.preflight import check_model_type
from precompute.pipeline.sources import ModelSources

ROOT = Path(__file__).resolve().parent.parent
WORKER = (sys.executable, "-m", "dashboard.inference_worker")
MOST_WAITING = 4
"""Questions that are worked on or wait; with more, pages would wait for the server's threads."""
LOADING_SECONDS, ANSWER_SECONDS = 600.0, 120.0
"""How long loading, and one answer, may take before the process is ended."""
REMEMBERED = 8_000_000
"""Characters of answers, as the process writes them, that are kept; in memory they take a few times that."""
USUAL_SECONDS, BYTES_A_SECOND = 5.0, 400e6
"""What loading is expected to take: starting, and reading weights."""

StateName = Literal["not started", "loading", "ready", "died"]


class InferenceError(LightwellError):
    """A question that the model's process has not answered, with the reason."""


@dataclass(frozen=True)
class State:
    """Where the process stands."""

    name: StateName
    detail: str = ""
    """Why it died."""
    seconds: float = 0.0
    """What loading took, or is expected to take."""


class ModelProcess(ABC):
    """A model in a process of its own; may be asked from several threads."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._turn = threading.Lock()
        self._process: _Process | None = None
        self._loaded = ""
        self._state = State("not started")
        self._answers: OrderedDict[str, _Line] = OrderedDict()
        self._answers_lock = threading.Lock()
        self._closed = threading.Event()

    @abstractmethod
    def _described(self) -> str:
        """What the process is to load: the line of JSON that it reads first."""

    @abstractmethod
    def _fingerprint(self) -> str:
        """Names the model's content; the process is started anew, and answers are forgotten, with another."""

    @abstractmethod
    def _files(self) -> tuple[Path, ...]:
        """Directories whose weights are loaded."""

    @property
    def state(self) -> State:
        """Where the process stands now."""
        process, known = self._process, self._state
        if known.name == "ready" and process is not None and process.has_ended:
            return State("died", process.how_it_ended)
        return known if known.seconds else State(known.name, known.detail, self._expected_seconds())

    def ask(self, question: str, **parameters: Any) -> Any:
        """The answer as plain data, remembered for this very model and question.

        Raises InferenceError where there is none, and UsageError for a question that makes no sense.
        """
        fingerprint = self._fingerprint()
        message = canonical_json({"question": question, "parameters": parameters})
        known = self._remembered(fingerprint + message)
        if known is not None:
            return known.content
        if not self._waiting.acquire(blocking=False):
            raise InferenceError(f"the model works on {MOST_WAITING} other questions; ask again in a moment")
        try:
            with self._turn:
                # Whoever asked the same and came first may have had the answer meanwhile.
                answer = self._remembered(fingerprint + message) or self._ask_process(fingerprint, message)
                self._remember(fingerprint + message, answer)
        finally:
            self._waiting.release()
        return answer.content

    def close(self) -> None:
        """End the process for good, also in the midst of an answer."""
        self._closed.set()
        if (process := self._process) is not None:
            process.kill()
        with self._turn:  # Whoever waits for an answer hears of the end, and gives the turn back.
            self._end(State("not started"))

    def _ask_process(self, fingerprint: str, message: str) -> _Line:
        process = self._process
        if process is None or process.has_ended or self._loaded != fingerprint:
            process = self._start(fingerprint)
        try:
            found = process.ask(message, ANSWER_SECONDS)
            return _Line(_answer(found.content), found.size)
        except _Ended as end:
            self._end(State("died", str(end)))
            raise InferenceError(
                f"the model's process {end} while it worked on this; it starts anew with the next question"
            ) from None

    def _start(self, fingerprint: str) -> _Process:
        if self._closed.is_set():
            raise InferenceError("the server stops, and its model with it")
        self._end(State("loading", seconds=self._expected_seconds()))
        process = self._process = _Process(self._command)
        if self._closed.is_set():  # Since a moment ago: nobody else would end this one.
            process.kill()
        self._loaded = fingerprint
        try:
            first = process.ask(self._described(), LOADING_SECONDS)
            seconds = float(_answer(first.content, "ready"))
        except _Ended as end:
            self._end(State("died", str(end)))
            raise InferenceError(
                f"the model's process {end} while it loaded the model; the server's log may say why"
            ) from None
        except LightwellError:
            self._end(State("not started"))
            raise
        self._state = State("ready", seconds=max(seconds, 0.1))
        return process

    def _end(self, state: State) -> None:
        self._state = state
        if self._process is not None:
            self._process.end()
            self._process = None

    def _expected_seconds(self) -> float:
        n_bytes = sum(path.stat().st_size for place in self._files() for path in place.glob("*.safetensors"))
        return USUAL_SECONDS + n_bytes / BYTES_A_SECOND

    def _remembered(self, key: str) -> _Line | None:
        with self._answers_lock:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def _remember(self, key: str, answer: _Line) -> None:
        with self._answers_lock:
            self._answers[key] = answer
            while sum(known.size for known in self._answers.values()) > REMEMBERED:
                self._answers.popitem(last=False)


class Inference(ModelProcess):
    """The model and the SAE of one model type."""

    def __init__(self, model_type: KnownType, data_dir: Path, command: Sequence[str] | None = None) -> None:
        super().__init__(command or (*WORKER, model_type.name))
        self._model_type, self._data_dir = model_type, data_dir

    def unavailable(self) -> str | None:
        """Why there is no model to ask, judged by its files alone; None where nothing speaks against it."""
        try:
            model_type = with_model(self._model_type)
            if not Path(model_type.model).is_absolute():
                return None  # A hub id: looking for it may take long, so the process does it.
            check_model_type(model_type)
        except LightwellError as error:
            return str(error)
        return None

    def _described(self) -> str:
        return self._model_type.model_dump_json()

    def _fingerprint(self) -> str:
        model_type = with_model(self._model_type)
        sources, corpus = ModelSources(model_type, self._data_dir), model_type.corpus
        cut = {"n_ctx": corpus.n_ctx, "prepend_bos": corpus.prepend_bos}
        return canonical_json({"model": sources.model, "sae": sources.sae, "cut": cut})

    def _files(self) -> tuple[Path, ...]:
        if isinstance(self._model_type, ImportedType):
            return ()
        return Path(self._model_type.model), Path(self._model_type.sae)


@dataclass(frozen=True)
class _Line:
    """What the process has written in one line, and how long that was."""

    content: Any
    size: int


def _answer(message: Mapping[str, Any], name: str = "answer") -> Any:
    """What a message of the process holds; raises the error that it tells of."""
    error = message.get("error")
    if error is None:
        return message[name]
    if "found" in error:
        raise UsageError(error["found"], error["expected"], error["remedy"])
    raise InferenceError(error["message"])


class _Ended(Exception):  # noqa: N818 - what became of the process, in words that complete a sentence
    pass


class _Process:
    """One run of the command: a line in, a line out."""

    def __init__(self, command: Sequence[str]) -> None:
        # The package may be found by the server's working directory alone.
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="model answers", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    @property
    def has_ended(self) -> bool:
        """Whether there is nobody to ask."""
        return self._process.poll() is not None

    @property
    def how_it_ended(self) -> str:
        """In words that complete a sentence."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.poll()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            # So does the kernel end a process when the machine has no memory left.
            return f"was killed by {name}" + (" (perhaps for want of memory)" if name == "SIGKILL" else "")
        return f"ended with exit code {code}"

    def ask(self, message: str, seconds: float) -> _Line:
        """Send a line and wait for the next one; raises _Ended where none comes."""
        try:
            stream = self._process.stdin
            assert stream is not None
            stream.write(message + "\n")
            stream.flush()
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise _Ended(f"gave no answer within {seconds:g} s and was ended") from None
        except (BrokenPipeError, ValueError, OSError):
            raise _Ended(self.how_it_ended) from None
        if not line:
            raise _Ended(self.how_it_ended)
        return _Line(json.loads(line), len(line))

    def kill(self) -> None:
        """End it at once; whoever waits for its answer hears of it."""
        self._process.kill()

    def end(self) -> None:
        """Kill it, wait for it, and close the pipes."""
        self.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

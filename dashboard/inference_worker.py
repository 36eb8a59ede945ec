"""The process that holds a loaded model: reads questions as JSON lines, answers each in one, ends with them.

The server starts it (`python -m dashboard.inference_worker NAME`) and is the only one that talks to it. The
first line says what to load; a thread reads the lines, so that the end of the server is noticed in the midst
of an answer too.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import IO, Any

from precompute.errors import LightwellError, UsageError

LOG = logging.getLogger(__name__)
Answer = Callable[[str, dict[str, Any]], Any]
"""Question and parameters to plain data."""


def serve(
    lines: Iterable[str], write: Callable[[dict[str, Any]], None], load: Callable[[Any], Answer]
) -> int:
    """Load what the first line says, then answer every further line; returns the exit code."""
    asked = iter(lines)
    began = time.monotonic()
    try:
        answer = load(json.loads(next(asked)))
    except StopIteration:
        return 0
    except LightwellError as error:
        write({"error": described(error)})
        return 0
    write({"ready": round(time.monotonic() - began, 3)})
    for line in asked:
        write(answered(answer, json.loads(line)))
    return 0


def answered(answer: Answer, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question, or what is wrong with it; a failed question ends nothing."""
    try:
        return {"answer": answer(asked["question"], asked["parameters"])}
    except LightwellError as error:
        return {"error": described(error)}
    except Exception as error:
        LOG.exception("a question to the model failed")
        reason = " ".join(str(error).split())[:200]
        return {"error": {"message": f"the model could not answer ({type(error).__name__}: {reason})"}}


def described(error: LightwellError) -> dict[str, str]:
    """An error as plain data."""
    if isinstance(error, UsageError):
        return {"found": error.found, "expected": error.expected, "remedy": error.remedy}
    return {"message": str(error)}


def until_closed(stream: IO[str]) -> Iterable[str]:
    """The lines of a stream; when it closes, this process ends at once, whatever it is doing."""
    found: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            found.put(line)
        # The server is gone, or has no more use for this process: nobody waits for an answer.
        os._exit(0)

    threading.Thread(target=read, name="questions", daemon=True).start()
    while True:
        yield found.get()


def own_channel() -> IO[str]:
    """The pipe to the server, kept from whatever else prints on standard output."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def load_model(described_type: Any) -> Answer:
    """Load the model type, or the model of an embedding set, that the server describes."""
    if "embedding_set" in described_type:
        from dashboard.embedder_answers import embedder_for

        return embedder_for(described_type["embedding_set"])
    from dashboard.model_answers import opened_for

    return opened_for(described_type)


def main() -> int:
    """Serve the process that started this one."""
    # Ctrl-C in a terminal reaches this process too; it ends with the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = own_channel()

    def write(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message, ensure_ascii=True, allow_nan=False) + "\n")
        channel.flush()

    return serve(until_closed(sys.stdin), write, load_model)


if __name__ == "__main__":
    sys.exit(main())

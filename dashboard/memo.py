"""What the server remembers: answers, each valid for one version of the artifacts it came from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Memo:
    """Answers by question; forgotten when the artifact changes, or when there are too many younger ones."""

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._answers: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
        # One lock for all: two tabs that ask the same question at once must not both load a table.
        self._lock = threading.RLock()

    def get(self, question: Hashable, version: Hashable, compute: Callable[[], Answer]) -> Answer:
        """The answer to a question about this version of the artifacts."""
        with self._lock:
            known = self._answers.get(question)
            if known is not None and known[0] == version:
                self._answers.move_to_end(question)
                answer: Answer = known[1]
                return answer
            answer = compute()
            self._answers[question] = (version, answer)
            while len(self._answers) > self._limit:
                self._answers.popitem(last=False)
            return answer

    def __len__(self) -> int:
        return len(self._answers)

"""What every executor keeps to: pieces of a step run elsewhere, and their results come in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Opening = Callable[[], Callable[[Item], Result]]
"""Opens what the pieces read, and gives the function of one piece. It travels, so it is made of paths and
numbers: a function of a module, or `functools.partial` of one."""


class Executor(ABC):
    """Where pieces run. Which one is chosen, and how many workers it has, changes no result."""

    @abstractmethod
    def map(
        self, opening: Opening[Item, Result], items: Iterable[Item], sees: Path | None = None
    ) -> Iterator[Result]:
        """Apply what `opening` gives to each item; results come in the order of the items.

        `opening` is called once in each process that works. A bounded number of pieces is in flight. The
        first error is raised as soon as its piece has failed; the others are then cancelled. `sees` is a
        directory that every worker must see, or its pieces fail with one clear sentence.
        """

    @abstractmethod
    def at_once(self) -> int:
        """Pieces that one machine works on at the same time, and whose memory it must hold together."""

    @abstractmethod
    def close(self) -> None:
        """End the workers that it has started."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pending(Protocol):
    """A piece in flight, as `concurrent.futures` and Dask have it."""

    def add_done_callback(self, told: Callable[[Any], Any], /) -> Any:
        """Tell when it has ended, however it did."""
        ...

    def result(self) -> Any:
        """What it gave; raises what it raised."""
        ...

    def cancel(self) -> Any:
        """Do not begin it, or let its result go."""
        ...


def in_order(
    submit: Callable[[Item], Pending], items: Iterable[Item], most: Callable[[], int]
) -> Iterator[Any]:
    """Submit pieces, at most `most()` ahead of the one whose result is awaited, and give results in order."""
    source = iter(items)
    ended: SimpleQueue[Pending] = SimpleQueue()
    pending: deque[Pending] = deque()
    results: dict[int, Any] = {}

    def submit_more() -> None:
        for item in islice(source, max(0, most() - len(pending))):
            piece = submit(item)
            pending.append(piece)
            piece.add_done_callback(ended.put)

    try:
        submit_more()
        while pending:
            piece = ended.get()
            results[id(piece)] = piece.result()  # An error does not wait until its turn comes.
            while pending and id(pending[0]) in results:
                yield results.pop(id(pending.popleft()))
                submit_more()
    finally:
        for piece in pending:
            piece.cancel()

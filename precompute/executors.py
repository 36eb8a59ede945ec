"""Where independent pieces of a step run: mapped over shards or blocks, results in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Apply `function` to each item with `workers` at a time; results come in the order of the items.

    Threads, because the work is in compiled code that lets go of the interpreter lock. At most
    2 x workers items are in flight, so memory is bounded by blocks. The first error is raised at once.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        pending: list[Future[Result]] = [pool.submit(function, i) for i in islice(source, 2 * workers)]
        try:
            while pending:
                yield pending.pop(0).result()
                pending.extend(pool.submit(function, item) for item in islice(source, 1))
        finally:
            for future in pending:
                future.cancel()

"""Responses written for many prompts at once, with what passes chosen sites captured in the same pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from precompute.errors import ModelError
from precompute.extraction.batch import Batch
from precompute.extraction.generation import Generation, Request, Response
from precompute.models.language_model import LanguageModel
from precompute.models.memory import is_out_of_memory, release


def generate_batch(
    model: LanguageModel,
    requests: Iterable[Request],
    chosen: Generation,
    batch_size: int,
    on_halved: Callable[[int], None] = lambda _: None,
) -> Iterator[Response]:
    """Responses in the order in which they end. Where memory runs out the batch is halved, and what was under
    way begins anew; raises ModelError where one prompt alone is too large, UsageError for one too long."""
    waiting = deque(requests)
    while waiting:
        batch = Batch(model, chosen, min(batch_size, len(waiting)))
        try:
            with batch.opened():
                yield from batch.run(waiting)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return
        waiting.extendleft(reversed(batch.under_way()))
        n_rows = batch.n_rows
        del batch
        release(model.device)
        if n_rows == 1:
            raise ModelError(
                "a prompt for which memory does not suffice by itself",
                f"free memory on {model.device}",
                "lower --max-new-tokens, choose a half --dtype, or free some",
            )
        batch_size = max(1, n_rows // 2)
        on_halved(batch_size)

"""Examples padded into batches, within one logical shard, so that the batch size changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ON_CPU, ON_GPU = 16, 64
"""Examples in a batch: on a CPU so few that what a layer writes is still in the cache when the next reads it,
and that no array is so large (32 MB) that the allocator gives its memory back each time."""


def suited_to(device: str) -> int:
    """Examples in a batch where nobody says how many."""
    return ON_CPU if device == "cpu" else ON_GPU


@dataclass(frozen=True)
class Batch:
    """Examples of like length, padded on the right: what a causal decoder reads before is not changed."""

    examples: NDArray[np.int64]
    """[n_examples]: which of the examples given these are."""
    token_ids: NDArray[np.int64]
    """[n_examples, n_ctx], 0 where padded."""
    mask: NDArray[np.int64]
    """[n_examples, n_ctx]: 1 for tokens, 0 for padding."""


def batches(examples: Sequence[Sequence[int]], batch_size: int) -> Iterator[Batch]:
    """Batches of examples sorted by length, longest first; examples without a token are left out."""
    lengths = np.array([len(example) for example in examples], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        token_ids = np.zeros((len(chosen), int(lengths[chosen].max())), dtype=np.int64)
        for row, example in enumerate(chosen):
            token_ids[row, : lengths[example]] = examples[example]
        mask = (np.arange(token_ids.shape[1]) < lengths[chosen, None]).astype(np.int64)
        yield Batch(chosen, token_ids, mask)

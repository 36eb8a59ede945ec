"""What passes capture sites while texts are read that are there already: prompts with their responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import ModelError
from precompute.extraction.capture import Vectors, watched
from precompute.extraction.generation import Capture
from precompute.extraction.positions import PositionRule
from precompute.models.batching import Batch, batches
from precompute.models.language_model import LanguageModel
from precompute.models.memory import is_out_of_memory, release


@dataclass(frozen=True)
class TokenText:
    """A text in two parts, as token ids; never tokenised again."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    """Without the end-of-text token."""


def read_vectors(
    model: LanguageModel,
    texts: Sequence[TokenText],
    capture: Capture,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Vectors]:
    """The vectors of texts, in their order; batches are padded on the right, and halved where memory runs
    out. `advance` is told the texts done."""
    found: list[Vectors] = [{} for _ in texts]
    with watched(model, capture.sites) as seen:
        for batch in batches([[*text.prompt, *text.response] for text in texts], batch_size):
            for part in _survivors(model, batch, seen):
                for number, text in enumerate(part.examples.tolist()):
                    found[text] = {
                        site: _means(capture.rules, texts[text], value[number])
                        for site, value in seen.items()
                    }
                advance(len(part.examples))
    return found


def _survivors(model: LanguageModel, batch: Batch, seen: dict[str, Tensor]) -> Iterator[Batch]:
    """Run a batch, or its halves where memory runs out; after each, `seen` is of what is yielded."""
    try:
        with torch.inference_mode():
            mask = torch.from_numpy(batch.mask).to(model.device)
            model.run_stack(torch.from_numpy(batch.token_ids).to(model.device), mask)
        yield batch
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch.examples) == 1:
            raise ModelError(
                f"one text of {batch.token_ids.shape[1]:,} tokens, for which memory does not suffice",
                f"free memory on {model.device}",
                "choose a half --dtype, or free some",
            ) from None
    else:
        return
    seen.clear()
    release(model.device)
    half = (len(batch.examples) + 1) // 2
    for rows in (slice(0, half), slice(half, None)):
        yield from _survivors(
            model, Batch(batch.examples[rows], batch.token_ids[rows], batch.mask[rows]), seen
        )


def _means(rules: Sequence[PositionRule], text: TokenText, value: Tensor) -> NDArray[np.float32]:
    """float32 [n_rules, d], NaN where a rule names no token."""
    means = torch.full((len(rules), value.shape[-1]), torch.nan, device=value.device)
    for r, rule in enumerate(rules):
        first = 0 if rule.part == "prompt" else len(text.prompt)
        chosen = rule.positions(len(text.prompt if rule.part == "prompt" else text.response))
        if len(chosen):
            means[r] = value[first + chosen.start : first + chosen.stop].float().mean(dim=0)
    array: NDArray[np.float32] = means.cpu().numpy()
    return array

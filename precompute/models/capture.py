"""Capture: what passes a site while a model reads, in one forward pass that goes no further than it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from precompute.errors import ModelError
from precompute.models.batching import Batch, batches
from precompute.models.language_model import LanguageModel
from precompute.models.sites import Site


@dataclass(frozen=True)
class Captured:
    """What a forward pass left behind."""

    at_site: Tensor
    """[n_examples, n_ctx, d_in]"""
    last: Tensor
    """The same at the site where the pass was ended."""


class _Stop(Exception):  # noqa: N818 - ends a forward pass that has shown all that is asked
    pass


def run_to(language_model: LanguageModel, site: Site, stop: Site, batch: Batch) -> Captured:
    """Run the decoder until a value has passed `stop`, which is the site or behind it."""
    seen: dict[str, Tensor] = {}

    def end(value: Tensor) -> None:
        seen["last"] = value
        raise _Stop

    handles = [site.read(lambda value: seen.update(site=value)), stop.read(end)]
    device = language_model.device
    try:
        with torch.inference_mode(), suppress(_Stop):
            language_model.run_stack(
                torch.from_numpy(batch.token_ids).to(device), torch.from_numpy(batch.mask).to(device)
            )
    finally:
        for handle in handles:
            handle.remove()
    return Captured(seen["site"], seen["last"])


def capture_rows(  # noqa: PLR0917 - a pass is what it reads and how
    language_model: LanguageModel,
    site: Site,
    examples: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> npt.NDArray[np.float32]:
    """The activations of some positions of each example, in the order given: float32 [n_rows, d_in].

    `advance` is told examples done.
    """
    counts = np.array([len(chosen) for chosen in positions], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    found = np.empty((int(counts.sum()), language_model.sites.width(site)), dtype=np.float32)
    for batch in batches(examples, batch_size):
        local = np.repeat(np.arange(len(batch.examples)), counts[batch.examples])
        at = np.concatenate([np.asarray(positions[i], dtype=np.int64) for i in batch.examples])
        rows = np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in batch.examples])
        passed = run_to(language_model, site, site, batch).at_site
        x = passed[torch.from_numpy(local).to(passed.device), torch.from_numpy(at).to(passed.device)].float()
        check_finite(x, site)
        found[rows] = x.cpu().numpy()
        advance(len(batch.examples))
    return found


def check_finite(x: Tensor, site: Site) -> None:
    """Raise ModelError for activations that are no numbers."""
    if not bool(torch.isfinite(x).all()):
        raise ModelError(
            f"activations at {site.hook_name} that are not finite",
            "numbers",
            'check the weights, or set dtype = "float32"',
        )

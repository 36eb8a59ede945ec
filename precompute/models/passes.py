"""One forward pass over one window, with what passes the capture site seen, and changed if asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from precompute.models.opened import OpenedModel

Change = Callable[[Tensor], Tensor | None]
"""What takes the place of a value at the site, [1, n_tokens, d_in]; None leaves it."""


@dataclass(frozen=True)
class Seen:
    """What one pass over one window left behind."""

    x: Tensor
    """float32 [n_tokens, d_in]: at the site, before any change."""
    changed: Tensor
    """float32 [n_tokens, d_in]: at the site, after it."""
    before_norm: Tensor | None
    """float32 [n_tokens, d_model]: what enters the final norm, where there is one."""
    logits: Tensor
    """float32 [n_tokens, d_vocab]"""
    cache: Any
    """Keys and values of the tokens read, where they were asked for."""


def run(
    model: OpenedModel,
    token_ids: list[int],
    change: Change = lambda _: None,
    *,
    cache: Any = None,
    use_cache: bool = False,
) -> Seen:
    """Read tokens, after those in the cache; the hooks are gone afterwards, whatever happens."""
    language_model = model.reader.language_model
    language_model.check_predicts()
    seen: dict[str, Tensor] = {}

    def at_site(value: Tensor) -> Tensor | None:
        replaced = change(value)
        seen["x"] = value[0].float()
        # In the model's own type, as what comes after the site reads it.
        seen["changed"] = seen["x"] if replaced is None else replaced[0].to(value.dtype).float()
        return replaced

    handles = [model.reader.site.replace(at_site)]
    norm = language_model.sites.before_final_norm() if model.norm_lies_ahead else None
    if norm is not None:
        handles.append(norm.read(lambda value: seen.update(norm=value[0].float())))
    ids = torch.tensor([token_ids], device=language_model.device)
    try:
        with torch.inference_mode():
            output = language_model.model(input_ids=ids, past_key_values=cache, use_cache=use_cache)
    finally:
        for handle in handles:
            handle.remove()
    return Seen(
        seen["x"],
        seen["changed"],
        seen.get("norm"),
        output.logits[0].float(),
        output.past_key_values if use_cache else None,
    )


def log_probabilities(logits: Tensor) -> Tensor:
    """Of every next token; float64, like `logits` in shape."""
    return torch.log_softmax(logits.double(), dim=-1)

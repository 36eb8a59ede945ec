"""Layers before a capture site left out, where all that leaves them is replaced at the site anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from precompute.models.sites import Site, SiteMap


def layers_before(sites: SiteMap, site: Site) -> list[nn.Module]:
    """The layers whose work is lost when every value at the site is replaced; none inside a layer.

    None either where layers return more than the residual stream, or later ones read from earlier ones.
    """
    kinds = {"hook_resid_pre": 0, "hook_resid_post": 1}
    block, _, kind = site.hook_name.rpartition(".")
    if kind not in kinds or getattr(sites.model.config.get_text_config(), "num_kv_shared_layers", None):
        return []
    lost = list(sites.layers)[: int(block.removeprefix("blocks.")) + kinds[kind]]
    return lost if lost and _returns_tensor(sites) else []


@contextmanager
def left_out(layers: list[nn.Module]) -> Iterator[None]:
    """Pass the residual stream through these layers unchanged; what hooks put at the site comes after."""
    for layer in layers:
        layer.forward = _pass_through
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _pass_through(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return hidden_states


def _returns_tensor(sites: SiteMap) -> bool:
    found: list[bool] = []
    handle = sites.layers[0].register_forward_hook(lambda _m, _a, out: found.append(isinstance(out, Tensor)))
    try:
        sites.observe({}, sites.probe_tokens())
    finally:
        handle.remove()
    return found == [True]

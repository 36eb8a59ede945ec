"""TransformerLens's names of capture sites, found in the modules of any Hugging Face decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from precompute.errors import ModelError
from precompute.models.final_norm import FinalNorm
from precompute.models.preflight import EMBED_SITE, FINAL_SITE, check_hook_name

Side = Literal["input", "output", "normalized"]
ATTENTION_NAMES = ("self_attn", "attn", "attention", "self_attention", "temporal_block")
MLP_NAMES = ("mlp", "feed_forward", "block_sparse_moe", "ffn")
ATTENTION_OUTPUT_NORMS = ("post_self_attn_layernorm", "post_attention_layernorm")
"""Norms on what attention adds, in layers that have the following ones too."""
MLP_OUTPUT_NORMS = ("post_mlp_layernorm", "post_feedforward_layernorm")
SECOND_NORMS = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "final_layer_norm")
"""The norm whose input is the residual stream between attention and MLP."""
TOLERANCE = 0.02
"""Relative; what a layer adds must add up in bfloat16 too."""


@dataclass(frozen=True)
class Site:
    """A place in a model whose vectors can be read and replaced."""

    hook_name: str
    module: nn.Module
    side: Side
    """The module's first input, its (first) output, or its input normalised without gain and bias."""
    norm: FinalNorm | None = None
    """For the side `normalized`: the norm that is taken apart."""

    def read(self, action: Callable[[Tensor], None]) -> Any:
        """Call `action` with each value that passes; returns a handle whose `remove()` ends it."""
        return self.replace(action)

    def replace(self, change: Callable[[Tensor], Tensor | None]) -> Any:
        """Put what `change` returns in the place of each value that passes; None leaves the value."""
        if self.side == "input":
            return self.module.register_forward_pre_hook(_on_input(change), with_kwargs=True)
        if self.side == "output":
            return self.module.register_forward_hook(_on_output(change))
        return self.module.register_forward_hook(self._on_normalized(change))

    def _on_normalized(self, change: Callable[[Tensor], Tensor | None]) -> Callable[..., Any]:
        norm = self.norm
        if norm is None:
            raise ValueError(f"{self.hook_name} without its norm")

        def hook(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
            changed = change(norm.normalized(args[0]))
            return None if changed is None else norm.scaled(changed).to(output.dtype)

        return hook


def _on_input(change: Callable[[Tensor], Tensor | None]) -> Callable[..., Any]:
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            changed = change(args[0])
            return None if changed is None else ((changed.to(args[0].dtype), *args[1:]), kwargs)
        value = kwargs["hidden_states"]
        changed = change(value)
        return None if changed is None else (args, {**kwargs, "hidden_states": changed.to(value.dtype)})

    return hook


def _on_output(change: Callable[[Tensor], Tensor | None]) -> Callable[..., Any]:
    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        value = output[0] if isinstance(output, tuple) else output
        changed = change(value)
        if changed is None:
            return None
        changed = changed.to(value.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook


@dataclass(frozen=True)
class SiteMap:
    """The capture sites of one model."""

    model: Any
    """The transformers causal language model."""
    decoder: nn.Module
    """It without its output layer."""
    parent: nn.Module
    """The module that holds the layers, and the final norm where there is one."""
    layers: nn.ModuleList

    @staticmethod
    def of(model: Any) -> SiteMap:
        """Find the layers of a causal language model; raises ModelError where there are none."""
        n_layers = int(model.config.get_text_config().num_hidden_layers)
        stacks = [
            (name, module)
            for name, module in model.named_modules()
            if isinstance(module, nn.ModuleList) and len(module) == n_layers and "vision" not in name
        ]
        if not stacks:
            raise ModelError(
                f"a {type(model).__name__} without a stack of {n_layers} layers",
                "a decoder",
                "choose another",
            )
        name, layers = min(stacks, key=lambda found: found[0].count("."))
        parent = model.get_submodule(name.rpartition(".")[0])
        return SiteMap(model, model.base_model, parent, layers)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @cached_property
    def final_norm_module(self) -> nn.Module | None:
        """The norm after the last layer, where there is one."""
        norms = [
            child
            for name, child in self.parent.named_children()
            if "norm" in type(child).__name__.lower() and "emb" not in name
        ]
        return norms[-1] if norms else None

    @cached_property
    def final_norm(self) -> FinalNorm | None:
        """The final norm taken apart; raises NotApplicableError for one of an unknown kind."""
        module = self.final_norm_module
        return None if module is None else FinalNorm.of(module, int(self.layers_width))

    @property
    def layers_width(self) -> int:
        """Width of the residual stream."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def last(self) -> Site:
        """Where the output layer reads: after the final norm, or after the last layer without one."""
        module = self.final_norm_module
        return Site("last", self.layers[-1] if module is None else module, "output")

    def before_final_norm(self) -> Site | None:
        """The residual stream at the final norm, where there is one."""
        module = self.final_norm_module
        return None if module is None else Site("before_final_norm", module, "input")

    def site(self, hook_name: str) -> Site:
        """The site of that name; raises ModelError naming those that there are."""
        check_hook_name(hook_name, self.n_layers)
        if hook_name == EMBED_SITE:
            return Site(hook_name, self.model.get_input_embeddings(), "output")
        if hook_name == FINAL_SITE:
            return self._final_site()
        _, number_text, kind = hook_name.replace("hook_", "").split(".")
        number = int(number_text)
        layer = self.layers[number]
        if kind in ("resid_pre", "resid_post"):
            return Site(hook_name, layer, "input" if kind == "resid_pre" else "output")
        return self._inner_site(hook_name, number, kind)

    def width(self, site: Site) -> int:
        """Width of the vectors at a site."""
        if site.hook_name == EMBED_SITE:
            return int(self.model.get_input_embeddings().embedding_dim)
        return self.layers_width

    def observe(self, sites: dict[str, Site], token_ids: Tensor) -> dict[str, Tensor]:
        """What passes at some sites while the decoder reads a few tokens; float32 [n, n_ctx, width] each."""
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[Tensor], None]:
            return lambda value: seen.update({name: value.detach().float().clone()})

        handles = [site.read(keep(name)) for name, site in sites.items()]
        try:
            with torch.no_grad():
                self.decoder(input_ids=token_ids, attention_mask=torch.ones_like(token_ids), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return seen

    def probe_tokens(self) -> Tensor:
        """Two rows of a few different tokens; int64 [2, 5]."""
        n_vocab = int(self.model.config.get_text_config().vocab_size)
        device = self.model.get_input_embeddings().weight.device
        return (torch.arange(10, device=device).reshape(2, 5) * 7 + 3) % n_vocab

    def _final_site(self) -> Site:
        if self.final_norm_module is None or self.final_norm is None:
            raise ModelError(
                f"{FINAL_SITE} in a model without a final norm", "a residual site", "correct `hook_name`"
            )
        return Site(FINAL_SITE, self.final_norm_module, "normalized", self.final_norm)

    def _inner_site(self, hook_name: str, number: int, kind: str) -> Site:
        """A site inside a layer, if what passes there is what the layer adds up."""
        layer = self.layers[number]
        parts = _inner_parts(layer)
        if kind in parts:
            pre, post = Site("pre", layer, "input"), Site("post", layer, "output")
            seen = self.observe({**parts, "pre": pre, "post": post}, self.probe_tokens())
            if _adds_up(seen, kind):
                return Site(hook_name, parts[kind].module, parts[kind].side)
        outer = "resid_pre, hook_resid_post"
        raise ModelError(
            f"capture site {hook_name!r}, which cannot be told apart in the layers of "
            f"{type(self.model).__name__}",
            f"blocks.{number}.hook_{outer}",
            "correct `hook_name`",
        )


def _inner_parts(layer: nn.Module) -> dict[str, Site]:
    """Where the parts of a layer should be, by the names that decoders give them."""
    output_norm = _child(layer, MLP_OUTPUT_NORMS)
    attention, mlp = _child(layer, ATTENTION_NAMES), _child(layer, MLP_NAMES)
    if output_norm is not None:
        attention, middle = _child(layer, ATTENTION_OUTPUT_NORMS), _child(layer, SECOND_NORMS[:1]) or mlp
        if hasattr(layer, ATTENTION_OUTPUT_NORMS[0]):  # GLM-4 keeps Llama's name for the second norm.
            middle = _child(layer, ATTENTION_OUTPUT_NORMS[1:])
        mlp = output_norm
    else:
        middle = _child(layer, SECOND_NORMS)
    found = {
        "attn_out": attention and Site("attn_out", attention, "output"),
        "mlp_out": mlp and Site("mlp_out", mlp, "output"),
        "resid_mid": middle and Site("resid_mid", middle, "input"),
    }
    return {kind: site for kind, site in found.items() if site}


def _child(layer: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    children = dict(layer.named_children())
    return next((children[name] for name in names if name in children), None)


def _adds_up(seen: dict[str, Tensor], kind: str) -> bool:
    """Whether what was seen at a site is what its name says: a part of the sum that leaves the layer."""
    pre, post = seen["pre"], seen["post"]
    attention, mlp, middle = seen.get("attn_out"), seen.get("mlp_out"), seen.get("resid_mid")
    if kind == "resid_mid":
        if attention is not None:
            return _close(middle, pre + attention)
        return mlp is not None and _close(middle, post - mlp)
    if attention is None or mlp is None:
        return False
    return _close(post - pre, attention + mlp)


def _close(value: Tensor | None, expected: Tensor) -> bool:
    if value is None or value.shape != expected.shape:
        return False
    return bool((value - expected).norm() <= TOLERANCE * expected.norm())

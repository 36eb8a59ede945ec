"""Whether a model, its adapter and its SAE belong together, before anything is loaded or written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import ModelError, SAEFormatError
from precompute.models.adapter import resolve_adapter_directory
from precompute.models.language_model import CONFIG_FILE, resolve_model_directory
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.registry import read_header, sae_files

if TYPE_CHECKING:
    from precompute.config import ModelType

WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")
"""What configurations call d_model."""
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""What configurations call the number of layers."""
BLOCK_SITE = re.compile(
    r"blocks\.(0|[1-9]\d*)\.hook_(resid_pre|resid_mid|resid_post|attn_out|mlp_out)", re.ASCII
)
EMBED_SITE = "hook_embed"
FINAL_SITE = "ln_final.hook_normalized"


@dataclass(frozen=True)
class Checked:
    """What the files of a model type say."""

    header: SAEHeader
    """What the SAE says of itself."""
    hook_name: str
    """The capture site: the model type's, or the SAE's own."""
    model_directory: Path
    adapter_directory: Path | None
    sae_files: tuple[Path, ...]
    d_model: int
    """Width of the residual stream."""
    n_layers: int
    d_vocab: int
    """Rows of the logits; the tokenizer may know fewer tokens."""


def check_model_type(model_type: ModelType) -> Checked:
    """Read the small files of a model type and check that they fit; imports no torch, loads no weight.

    Raises ModelError or SAEFormatError for what is missing, pickled, corrupt, unknown, or does not fit.
    """
    directory = resolve_model_directory(model_type.model, model_type.revision)
    adapter = resolve_adapter_directory(model_type.adapter) if model_type.adapter else None
    header = read_header(model_type.sae)
    config = _text_config(directory / CONFIG_FILE)
    checked = Checked(
        header=header,
        hook_name=site_of(model_type, header),
        model_directory=directory,
        adapter_directory=adapter,
        sae_files=sae_files(model_type.sae),
        d_model=_number(config, WIDTH_KEYS, directory),
        n_layers=_number(config, LAYER_KEYS, directory),
        d_vocab=_number(config, ("vocab_size",), directory),
    )
    check_hook_name(checked.hook_name, checked.n_layers)
    if checked.hook_name != EMBED_SITE:  # Some models embed in another width than their layers'.
        check_width(header, checked.d_model, checked.hook_name)
    return checked


def site_of(model_type: ModelType, header: SAEHeader) -> str:
    """The capture site: the model type's, or else the SAE's own; raises SAEFormatError without either."""
    hook_name = model_type.hook_name or header.hook_name
    if hook_name is None:
        raise SAEFormatError(
            f"SAE {model_type.sae} that does not say where it reads",
            "a capture site such as blocks.2.hook_resid_post",
            "set `hook_name` in the model type",
        )
    return hook_name


def n_layers_of(directory: Path) -> int:
    """Layers of the model in a directory, by its configuration."""
    return _number(_text_config(directory / CONFIG_FILE), LAYER_KEYS, directory)


def check_hook_name(hook_name: str, n_layers: int) -> None:
    """Raise ModelError where no model of n_layers layers has this capture site."""
    match = BLOCK_SITE.fullmatch(hook_name)
    if hook_name in (EMBED_SITE, FINAL_SITE) or (match and int(match.group(1)) < n_layers):
        return
    kinds = "resid_pre|resid_mid|resid_post|attn_out|mlp_out"
    raise ModelError(
        f"capture site {hook_name!r}",
        f"blocks.N.hook_{kinds} with N from 0 to {n_layers - 1}, {EMBED_SITE} or {FINAL_SITE}",
        "correct `hook_name`",
    )


def is_known_before_loading(hook_name: str) -> bool:
    """Whether every decoder has this capture site, as wide as its residual stream."""
    match = BLOCK_SITE.fullmatch(hook_name)
    return hook_name == FINAL_SITE or bool(match and match.group(2) in ("resid_pre", "resid_post"))


def check_width(header: SAEHeader, width: int, hook_name: str) -> None:
    """Raise SAEFormatError where the SAE reads vectors of another width than the site's."""
    if header.d_in != width:
        raise SAEFormatError(
            f"an SAE with d_in = {header.d_in}",
            f"{width}, the width of {hook_name} in this model",
            "choose an SAE that was trained on this model",
        )


def _text_config(path: Path) -> dict[str, Any]:
    """A model's configuration, or that of its text part where it has several."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} that cannot be read ({error})", "JSON", "save the model again") from None
    text = config.get("text_config") if isinstance(config, dict) else None
    return {**config, **text} if isinstance(text, dict) else dict(config)


def _number(config: dict[str, Any], keys: tuple[str, ...], directory: Path) -> int:
    for key in keys:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise ModelError(
        f"{directory / CONFIG_FILE} without {keys[0]}", "a decoder's configuration", "save the model again"
    )

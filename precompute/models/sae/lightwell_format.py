"""This project's own SAE format: `sae.json` beside `sae.safetensors`, in float or int8 by latent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError
from precompute.models.sae.header import (
    NORMALIZATIONS,
    SAEHeader,
    check_architecture,
    check_k,
    check_shapes,
    positive_int,
)
from precompute.models.sae.weights import read_json, read_shapes, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

NAME = "lightwell"
CONFIG_FILE = "sae.json"
WEIGHTS_FILE = "sae.safetensors"
FORMAT = "lightwell-sae"
FORMAT_VERSION = 1
STORAGES = ("float32", "float16", "int8")
QUANTIZED = {"W_enc": 0, "W_dec": 1}
"""Arrays that int8 storage holds as bytes, with the axis that is not the latents'."""


def detect(directory: Path) -> bool:
    """Whether the directory holds an SAE of this format."""
    return (directory / CONFIG_FILE).is_file()


def files(directory: Path) -> tuple[Path, ...]:
    """The files that make up the SAE."""
    return directory / CONFIG_FILE, directory / WEIGHTS_FILE


def read_header(directory: Path) -> SAEHeader:
    """Read and check the configuration, and that the weights fit it; raises SAEFormatError."""
    path = directory / CONFIG_FILE
    config = read_json(path)
    _check_version(config, path)
    architecture = check_architecture(config.get("architecture"), path)
    d_sae = positive_int(config, "d_sae", path)
    header = SAEHeader(
        format=NAME,
        architecture=architecture,
        d_in=positive_int(config, "d_in", path),
        d_sae=d_sae,
        hook_name=config.get("hook_name"),
        prepend_bos=bool(config.get("prepend_bos", True)),
        k=check_k(positive_int(config, "k", path), d_sae, path) if architecture == "topk" else None,
        apply_b_dec_to_input=bool(config.get("apply_b_dec_to_input", True)),
        normalize_activations=_one_of(config, "normalize_activations", "none", NORMALIZATIONS, path),
        center_activations=bool(config.get("center_activations", False)),
        rescale_acts_by_decoder_norm=bool(config.get("rescale_acts_by_decoder_norm", False)),
    )
    storage = _one_of(config, "storage", "float32", STORAGES, path)
    check_shapes(
        read_shapes(directory / WEIGHTS_FILE), _stored_shapes(header, storage), directory / WEIGHTS_FILE
    )
    return header


def read_weights(directory: Path, header: SAEHeader) -> dict[str, Tensor]:
    """The arrays of the SAE as float32, unquantised."""
    stored = read_tensors(directory / WEIGHTS_FILE)
    weights = {name: stored[name].float() for name in header.shapes()}
    for name, axis in QUANTIZED.items():
        scale = stored.get(f"{name}_scale")
        if scale is not None:
            weights[name] *= scale.float().unsqueeze(axis)
    return weights


def save(directory: Path, header: SAEHeader, weights: Mapping[str, Tensor], storage: str) -> None:
    """Write an SAE in this format; int8 keeps one float32 scale a latent, max |w| / 127."""
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Tensor] = {}
    for name in header.shapes():
        values = weights[name].detach().float().cpu()
        if storage == "int8" and name in QUANTIZED:
            scale = values.abs().amax(dim=QUANTIZED[name]).clamp(min=1e-12) / 127
            stored[f"{name}_scale"] = scale
            stored[name] = (values / scale.unsqueeze(QUANTIZED[name])).round().to(torch.int8).contiguous()
        else:
            kept = values if storage in ("int8", "float32") else values.half()
            stored[name] = kept.contiguous()
    save_file(stored, directory / WEIGHTS_FILE)
    (directory / CONFIG_FILE).write_text(json.dumps(_config(header, storage), indent=2) + "\n")


def _config(header: SAEHeader, storage: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": header.architecture,
    }
    if header.k is not None:
        config["k"] = header.k
    names = (
        "d_in",
        "d_sae",
        "hook_name",
        "apply_b_dec_to_input",
        "normalize_activations",
        "center_activations",
        "rescale_acts_by_decoder_norm",
        "prepend_bos",
    )
    return config | {name: getattr(header, name) for name in names} | {"storage": storage}


def _check_version(config: Mapping[str, Any], path: Path) -> None:
    found = (config.get("format"), config.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        raise SAEFormatError(
            f"{path}: format {found[0]!r}, version {found[1]!r}",
            f"format {FORMAT!r}, version {FORMAT_VERSION}",
            "save the SAE again with this version",
        )


def _one_of(config: Mapping[str, Any], key: str, default: str, valid: tuple[Any, ...], path: Path) -> Any:
    value = config.get(key, default)
    if value not in valid:
        raise SAEFormatError(
            f"{path}: {key} = {value!r}", f"one of {', '.join(valid)}", "convert it, or choose another SAE"
        )
    return value


def _stored_shapes(header: SAEHeader, storage: str) -> dict[str, tuple[int, ...]]:
    scales = {f"{name}_scale": (header.d_sae,) for name in QUANTIZED} if storage == "int8" else {}
    return header.shapes() | scales

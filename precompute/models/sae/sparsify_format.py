"""EleutherAI sparsify's directory: `cfg.json` beside `sae.safetensors`, all of them TopK.

Conventions as in sparsify/sparse_coder.py of eai-sparsify 1.3: `b_dec` is taken off the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError
from precompute.models.sae.header import SAEHeader, check_k, check_shapes, positive_int
from precompute.models.sae.weights import read_json, read_shapes, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

NAME = "sparsify"
CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae.safetensors"
STORED = {"W_dec": "W_dec", "b_enc": "encoder.bias", "b_dec": "b_dec"}
"""Our names of the arrays that are stored as ours are, and theirs."""
LAYER = re.compile(r"(?:.*\.)?(?:layers|h|blocks)[._](\d+)")
"""A folder is named for the module that its SAE was trained on; these are whole layers."""
EMBEDDINGS = ("embed_tokens", "wte", "embed_in")


def detect(directory: Path) -> bool:
    """Whether the directory holds an SAE of this format."""
    return (directory / CONFIG_FILE).is_file() and (directory / WEIGHTS_FILE).is_file()


def files(directory: Path) -> tuple[Path, ...]:
    """The files that make up the SAE."""
    return directory / CONFIG_FILE, directory / WEIGHTS_FILE


def read_header(directory: Path) -> SAEHeader:
    """Read and check the configuration, and that the weights fit it; raises SAEFormatError."""
    path = directory / CONFIG_FILE
    config = read_json(path)
    _check_kind(config, path)
    d_in = positive_int(config, "d_in", path)
    # num_latents is 0, or absent in old files, where the width is given by the factor.
    wide = config.get("num_latents") or d_in * positive_int(config, "expansion_factor", path)
    d_sae = positive_int({"num_latents": wide}, "num_latents", path)
    header = SAEHeader(
        format=NAME,
        architecture="topk",
        d_in=d_in,
        d_sae=d_sae,
        hook_name=_hook_name(directory),
        k=check_k(positive_int(config, "k", path), d_sae, path),
        prepend_bos=False,
    )
    _check_weights(directory / WEIGHTS_FILE, header)
    return header


def read_weights(directory: Path, header: SAEHeader) -> dict[str, Tensor]:
    """The arrays of the SAE as float32."""
    stored = read_tensors(directory / WEIGHTS_FILE)
    renamed = {ours: stored[theirs] for ours, theirs in STORED.items()}
    renamed["W_enc"] = stored["encoder.weight"].T
    return {name: renamed[name].float() for name in header.shapes()}


def _hook_name(directory: Path) -> str | None:
    """The capture site where the folder names a layer or the embedding; else the user must say it."""
    if directory.name in EMBEDDINGS:
        return "hook_embed"
    layer = LAYER.fullmatch(directory.name)
    return f"blocks.{layer[1]}.hook_resid_post" if layer else None


def _check_kind(config: Mapping[str, Any], path: Path) -> None:
    refused = {
        "a transcoder": config.get("transcode"),
        "a skip connection": config.get("skip_connection"),
        "signed activations": config.get("signed"),
        "the activation groupmax": config.get("activation", "topk") == "groupmax",
    }
    for name, holds in refused.items():
        if holds:
            raise SAEFormatError(
                f"{path}: {name}, which is not supported", "a TopK autoencoder", "choose another SAE"
            )


def _check_weights(path: Path, header: SAEHeader) -> None:
    shapes = read_shapes(path)
    expected = header.shapes()
    stored = {theirs: expected[ours] for ours, theirs in STORED.items()}
    check_shapes(shapes, stored | {"encoder.weight": expected["W_enc"][::-1]}, path)

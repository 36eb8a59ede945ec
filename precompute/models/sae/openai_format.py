"""OpenAI's sparse_autoencoder: one `.pt` file, TopK on layer-normed inputs or ReLU.

Conventions as in sparse_autoencoder/model.py: latents = activation((x - pre_bias) W + latent_bias); a file
of TopK means that inputs were normalised by their mean and standard deviation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError
from precompute.models.sae.header import SAEHeader, check_k, positive_int
from precompute.models.sae.pickles import PickledSAE

if TYPE_CHECKING:
    from torch import Tensor

NAME = "openai"
SITES: Mapping[str, str] = MappingProxyType(
    {
        "resid_post_mlp": "hook_resid_post",
        "resid_post_attn": "hook_resid_mid",
        "resid_delta_mlp": "hook_mlp_out",
        "resid_delta_attn": "hook_attn_out",
    }
)
"""Capture sites by the location in the published paths, LOCATION_v5_32k/autoencoders/LAYER.pt."""


def recognises(_path: Path, content: Mapping[str, Any]) -> bool:
    """Whether the content of the file is an SAE of this format."""
    return {"pre_bias", "latent_bias", "encoder.weight"} <= set(content)


def read(path: Path, content: Mapping[str, Any]) -> PickledSAE:
    """The SAE; raises SAEFormatError for an activation that is not supported."""
    weights = _weights(path, content)
    d_in, d_sae = weights["W_enc"].shape
    k = _k(path, content)
    header = SAEHeader(
        format=NAME,
        architecture="standard" if k is None else "topk",
        d_in=d_in,
        d_sae=d_sae,
        hook_name=_hook_name(path),
        k=None if k is None else check_k(k, d_sae, path),
        normalize_activations="none" if k is None else "layer_norm",
    )
    return PickledSAE(header, weights)


def _weights(path: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    # A tied decoder is the encoder's matrix, read the other way.
    rows = content["encoder.weight"] if "decoder.linear.weight" in content else None
    if rows is None and "decoder.weight" not in content:
        raise SAEFormatError(f"{path}: no array 'decoder.weight'", "a decoder", "download it again")
    decoder = rows if rows is not None else content["decoder.weight"].T
    return {
        "W_enc": content["encoder.weight"].float().T,
        "b_enc": content["latent_bias"].float(),
        "W_dec": decoder.float(),
        "b_dec": content["pre_bias"].float(),
    }


def _k(path: Path, content: Mapping[str, Any]) -> int | None:
    """The k of TopK; None for ReLU, which is also meant where the file says nothing."""
    activation, state = content.get("activation", "ReLU"), content.get("activation_state_dict") or {}
    if activation == "ReLU":
        return None
    if activation != "TopK" or state.get("postact_fn", "ReLU") != "ReLU":
        after = state.get("postact_fn", "") if activation == "TopK" else ""
        raise SAEFormatError(
            f"{path}: activation {activation} {after}".rstrip() + ", which is not supported",
            "ReLU, or TopK followed by ReLU",
            "choose another SAE",
        )
    return positive_int(state, "k", path)


def _hook_name(path: Path) -> str | None:
    location = re.sub(r"_v\d+.*", "", path.absolute().parent.parent.name)
    site = SITES.get(location)
    return f"blocks.{path.stem}.{site}" if site and path.stem.isdecimal() else None

"""SplatNLP's checkpoints: the SAE's `.pth`, mostly beside its model's, which is told apart by its arrays.

Conventions as in monosemantic_sae/models.py: ReLU((x - decoder_bias) W + b), decoder columns at norm 1, and
the decoder's own bias unused. What some of its versions clip at 6 is not clipped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from precompute.models.sae.header import SAEHeader
from precompute.models.sae.pickles import PickledSAE

NAME = "splatnlp"
NESTED = ("model_state_dict", "state_dict")
"""Keys under which a checkpoint may keep its arrays, beside the optimizer's."""
MIN_NORM = 1e-12
"""Smallest decoder norm divided by."""


def recognises(_path: Path, content: Mapping[str, Any]) -> bool:
    """Whether the content of the file is an SAE of this format."""
    return {"decoder_bias", "encoder.weight", "encoder.bias", "decoder.weight"} <= set(_arrays(content))


def read(_path: Path, content: Mapping[str, Any]) -> PickledSAE:
    """The SAE."""
    stored = _arrays(content)
    decoder = stored["decoder.weight"].float().T
    weights = {
        "W_enc": stored["encoder.weight"].float().T,
        "b_enc": stored["encoder.bias"].float(),
        "W_dec": decoder / decoder.norm(dim=1, keepdim=True).clamp(min=MIN_NORM),
        "b_dec": stored["decoder_bias"].float(),
    }
    d_in, d_sae = weights["W_enc"].shape
    return PickledSAE(SAEHeader(NAME, "standard", d_in, d_sae, prepend_bos=False), weights)


def _arrays(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = next((content[key] for key in NESTED if isinstance(content.get(key), Mapping)), content)
    arrays: Mapping[str, Any] = inner
    return arrays

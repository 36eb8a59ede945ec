"""Saving an SAE in Lightwell's own format: `sae.json` beside `sae.safetensors`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

FORMAT = "lightwell-sae"
"""Name of the format in `sae.json`."""

FORMAT_VERSION = 1
"""Version of the format in `sae.json`."""

CONFIG_FILE = "sae.json"
"""Name of the description."""

WEIGHTS_FILE = "sae.safetensors"
"""Name of the weights."""

Storage = Literal["float16", "int8"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TopKSAE:
    """A TopK SAE in the orientation of its file: acts = relu(topk((x - b_dec) @ W_enc + b_enc))."""

    W_enc: Floats
    """(d_in, d_sae)."""
    W_dec: Floats
    """(d_sae, d_in)."""
    b_enc: Floats
    """(d_sae,)."""
    b_dec: Floats
    """(d_in,)."""
    k: int
    """Active latents of a row."""


@dataclass(frozen=True)
class Quantised:
    """Weights of one byte, with one scale a latent: weights = values * scale."""

    values: npt.NDArray[np.int8]
    """(d_sae, d_in), from -127 to 127."""
    scale: Floats
    """(d_sae,)."""

    def dequantised(self) -> Floats:
        """Return the weights (d_sae, d_in) that a reader sees."""
        return self.values.astype(np.float32) * self.scale[:, None]


def quantise(weights: Floats) -> Quantised:
    """Round each row (one latent) to 255 levels; the error of a weight is at most half its row's scale."""
    largest = np.abs(weights).max(axis=1)
    scale = np.where(largest > 0, largest / 127.0, 1.0).astype(np.float32)
    return Quantised(np.clip(np.rint(weights / scale[:, None]), -127, 127).astype(np.int8), scale)


def stored(sae: TopKSAE, storage: Storage) -> TopKSAE:
    """Return the SAE as a reader of the stored file sees it."""
    if storage == "int8":
        encoder = quantise(sae.W_enc.T).dequantised().T
        return TopKSAE(encoder, quantise(sae.W_dec).dequantised(), sae.b_enc, sae.b_dec, sae.k)
    encoder, decoder = (value.astype(np.float16).astype(np.float32) for value in (sae.W_enc, sae.W_dec))
    return TopKSAE(encoder, decoder, sae.b_enc, sae.b_dec, sae.k)


def save_sae(sae: TopKSAE, directory: Path, hook_name: str, storage: Storage) -> None:
    """Write both files of the format."""
    from safetensors.numpy import save_file

    d_in, d_sae = sae.W_enc.shape
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": "topk",
        "k": sae.k,
        "d_in": d_in,
        "d_sae": d_sae,
        "hook_name": hook_name,
        "apply_b_dec_to_input": True,
        "prepend_bos": True,
        "storage": storage,
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(sae, storage), directory / WEIGHTS_FILE)
    (directory / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _tensors(sae: TopKSAE, storage: Storage) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of the file by name."""
    biases = {"b_enc": sae.b_enc.astype(np.float32), "b_dec": sae.b_dec.astype(np.float32)}
    if storage == "float16":
        halves = {"W_enc": sae.W_enc, "W_dec": sae.W_dec}
        return {**{name: np.ascontiguousarray(v.astype(np.float16)) for name, v in halves.items()}, **biases}
    encoder, decoder = quantise(sae.W_enc.T), quantise(sae.W_dec)
    return {
        "W_enc": np.ascontiguousarray(encoder.values.T),
        "W_enc_scale": encoder.scale,
        "W_dec": decoder.values,
        "W_dec_scale": decoder.scale,
        **biases,
    }

"""Gemma Scope's directory: `params.npz` (Gemma 2) or `params.safetensors` (Gemma 3), all of them JumpReLU.

Conventions as in its tutorial and in arXiv:2408.05147: `b_dec` is not taken off the input.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from precompute.errors import SAEFormatError
from precompute.models.sae.header import SAEHeader, check_shapes
from precompute.models.sae.weights import read_shapes, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

NAME = "gemma_scope"
NPZ_FILE = "params.npz"
WEIGHTS_FILES = (NPZ_FILE, "params.safetensors")
ARRAYS: Mapping[str, str] = MappingProxyType(
    {"W_enc": "w_enc", "W_dec": "w_dec", "b_enc": "b_enc", "b_dec": "b_dec", "threshold": "threshold"}
)
"""Our names of the arrays, and theirs; Gemma 2's files have the first two in capitals."""
SITES: Mapping[str, str] = MappingProxyType({"res": "hook_resid_post", "mlp": "hook_mlp_out"})
"""Capture sites by the kind that ends a repository's name, or stands in a folder's."""
LAYER = re.compile(r"layer_(\d+)")
KIND = re.compile(
    r"(?:.*--)?gemma-scope-.*-(res|mlp|att|transcoders)(?:-canonical)?|(resid|mlp|attn)_(?:post|out).*"
)


def detect(directory: Path) -> bool:
    """Whether the directory holds an SAE of this format."""
    return any((directory / name).is_file() for name in WEIGHTS_FILES)


def files(directory: Path) -> tuple[Path, ...]:
    """The files that make up the SAE."""
    return (_weights_file(directory),)


def read_header(directory: Path) -> SAEHeader:
    """Read the shapes of the arrays, and the capture site from the folder's path; raises SAEFormatError."""
    path = _weights_file(directory)
    shapes = _shapes(path)
    _check_kind(directory, shapes)
    names = {ours: _stored_name(shapes, theirs) for ours, theirs in ARRAYS.items()}
    found = {ours: shapes[name] for ours, name in names.items() if name in shapes}
    if len(found.get("W_enc", ())) != 2:
        raise SAEFormatError(f"{path}: no matrix w_enc", "a Gemma Scope SAE", "download it again")
    d_in, d_sae = found["W_enc"]
    header = SAEHeader(
        format=NAME,
        architecture="jumprelu",
        d_in=d_in,
        d_sae=d_sae,
        hook_name=_hook_name(directory),
        apply_b_dec_to_input=False,
    )
    check_shapes(found, header.shapes(), path)
    return header


def read_weights(directory: Path, header: SAEHeader) -> dict[str, Tensor]:
    """The arrays of the SAE as float32."""
    path = _weights_file(directory)
    stored = _tensors(path)
    return {name: stored[_stored_name(stored, ARRAYS[name])].float() for name in header.shapes()}


def _weights_file(directory: Path) -> Path:
    return next(path for name in WEIGHTS_FILES if (path := directory / name).is_file())


def _stored_name(stored: Mapping[str, Any], name: str) -> str:
    capital = name.replace("w_", "W_")
    return capital if capital in stored else name


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each array, from the heads of the arrays alone."""
    if path.name != NPZ_FILE:
        return read_shapes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).stem: _npy_shape(archive.open(name)) for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _corrupt(path, error) from None


def _npy_shape(file: IO[bytes]) -> tuple[int, ...]:
    with file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape: tuple[int, ...] = read(file)[0]
        return shape


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.name != NPZ_FILE:
        return read_tensors(path)
    import torch

    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _corrupt(path, error) from None


def _corrupt(path: Path, error: Exception) -> SAEFormatError:
    return SAEFormatError(
        f"{path} that cannot be read as arrays ({error})", "a whole npz file", "download it again"
    )


def _kinds(directory: Path) -> list[str]:
    """What the folders' names say that the SAE reads, the innermost first."""
    parts = reversed(directory.absolute().parts)
    return [found[1] or found[2] for part in parts if (found := KIND.fullmatch(part))]


def _hook_name(directory: Path) -> str | None:
    kind = next((kind for kind in _kinds(directory) if kind != "transcoders"), None)
    layer = next((m for part in reversed(directory.absolute().parts) if (m := LAYER.match(part))), None)
    site = SITES.get((kind or "").replace("resid", "res"))
    if layer is None:
        layer = next((m for part in directory.absolute().parts if (m := LAYER.search(part))), None)
    return f"blocks.{layer[1]}.{site}" if layer and site else None


def _check_kind(directory: Path, shapes: Mapping[str, Any]) -> None:
    """Refuse by name what Gemma Scope also publishes and is no SAE of the residual basis."""
    kinds, parts = _kinds(directory), directory.absolute().parts
    refused = {
        "a transcoder": "transcoders" in kinds
        or "affine_skip_connection" in shapes
        or any("transcoder" in part for part in parts[-4:]),
        "a cross-layer transcoder": any(re.search(r"(^|_)clt(_|$)", part) for part in parts[-4:]),
        "an SAE of attention heads": bool({"att", "attn"} & set(kinds[:1])),
        "an SAE of embeddings in a scale of their own": any(part == "embedding" for part in parts[-4:]),
    }
    for name, holds in refused.items():
        if holds:
            raise SAEFormatError(
                f"{directory}: {name}, which is not supported",
                "an SAE on the residual stream, or on what an MLP adds to it",
                "choose another SAE",
            )

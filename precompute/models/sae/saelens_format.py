"""SAELens's directory: `cfg.json` beside `sae_weights.safetensors`, of versions before and after 6.

Conventions as in sae_lens/saes/sae.py and sae_lens/loading/pretrained_sae_loaders.py of SAELens 6.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError
from precompute.models.sae.header import (
    NORMALIZATIONS,
    Normalization,
    SAEHeader,
    check_architecture,
    check_k,
    check_shapes,
    positive_int,
)
from precompute.models.sae.weights import read_json, read_shapes, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

NAME = "saelens"
CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
BATCH_TOPK = ("batchtopk", "matryoshka_batchtopk")
"""Architectures of training whose saved threshold makes them JumpReLU."""
SHARED_THRESHOLD = "topk_threshold"
"""The threshold of all features that training on BatchTopK keeps."""
MIN_NORM = 1e-8
"""Smallest decoder norm divided by."""


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
    shapes = read_shapes(directory / WEIGHTS_FILE)
    architecture = _architecture(config, shapes, path)
    d_sae = positive_int(config, "d_sae", path)
    header = SAEHeader(
        format=NAME,
        architecture=architecture,
        d_in=positive_int(config, "d_in", path),
        d_sae=d_sae,
        hook_name=_hook_name(config, path),
        prepend_bos=bool(_said(config, "prepend_bos", True)),
        k=_k(config, d_sae, path) if architecture == "topk" else None,
        apply_b_dec_to_input=bool(config.get("apply_b_dec_to_input", True)),
        normalize_activations=_normalization(config, path),
        center_activations=bool(_model_options(config).get("center_writing_weights", False)),
        rescale_acts_by_decoder_norm=architecture == "topk"
        and bool(config.get("rescale_acts_by_decoder_norm", False)),
    )
    _check_weights(directory / WEIGHTS_FILE, shapes, header)
    return header


def read_weights(directory: Path, header: SAEHeader) -> dict[str, Tensor]:
    """The arrays of the SAE as float32; one threshold for all features is given to each."""
    path = directory / WEIGHTS_FILE
    stored = read_tensors(path)
    _check_scaling(stored, path)
    if SHARED_THRESHOLD in stored:
        stored = _as_jumprelu(stored, read_json(directory / CONFIG_FILE))
    return {name: stored[name].float() for name in header.shapes()}


def _architecture(config: Mapping[str, Any], shapes: Mapping[str, Any], path: Path) -> str:
    """The architecture; before version 6 a TopK SAE was a standard one with another activation."""
    activation = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    architecture = config.get("architecture", "standard")
    if architecture == "standard" and activation == "topk":
        return "topk"
    if architecture in BATCH_TOPK and SHARED_THRESHOLD in shapes:
        return "jumprelu"
    checked = check_architecture(architecture, path)
    if activation not in ("relu", "topk", None):
        raise SAEFormatError(
            f"{path}: activation function {activation!r}", "relu or topk", "choose another SAE"
        )
    return checked


def _said(config: Mapping[str, Any], key: str, default: Any) -> Any:
    """A value that version 6 keeps under `metadata` and earlier ones beside the rest."""
    metadata = config.get("metadata") or {}
    value = metadata.get(key, config.get(key)) if isinstance(metadata, Mapping) else config.get(key)
    return default if value is None else value


def _model_options(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """How TransformerLens was told to change the model before the SAE was trained on it."""
    options = _said(config, "model_from_pretrained_kwargs", {})
    return options if isinstance(options, Mapping) else {}


def _hook_name(config: Mapping[str, Any], path: Path) -> str | None:
    hook_name = _said(config, "hook_name", config.get("hook_point"))
    reshaped = config.get("reshape_activations", "none")
    if reshaped not in ("none", None) or (isinstance(hook_name, str) and hook_name.endswith("hook_z")):
        raise SAEFormatError(
            f"{path}: an SAE of attention heads ({hook_name or reshaped}), which is not supported",
            "one on the residual stream, or on what a layer adds to it",
            "choose another SAE",
        )
    return str(hook_name) if hook_name else None


def _k(config: Mapping[str, Any], d_sae: int, path: Path) -> int:
    kwargs = config.get("activation_fn_kwargs") or {}
    return check_k(positive_int({"k": config.get("k", kwargs.get("k"))}, "k", path), d_sae, path)


def _normalization(config: Mapping[str, Any], path: Path) -> Normalization:
    value = config.get("normalize_activations")
    if value is None or value is False:
        return "none"
    if value is True:
        return "expected_average_only_in"
    if value not in NORMALIZATIONS:
        raise SAEFormatError(
            f"{path}: normalize_activations = {value!r}, which is not supported",
            f"one of {', '.join(NORMALIZATIONS)}",
            "fold it into the weights, or choose another SAE",
        )
    return next(name for name in NORMALIZATIONS if name == value)


def _check_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], header: SAEHeader) -> None:
    if SHARED_THRESHOLD in shapes:
        shapes = {**shapes, "threshold": (header.d_sae,)}
    if header.architecture == "jumprelu" and "threshold" not in shapes and "log_threshold" in shapes:
        raise SAEFormatError(
            f"{path}: a training checkpoint (log_threshold)", "an SAE saved for inference", "save it as such"
        )
    check_shapes(shapes, header.shapes(), path)


def _as_jumprelu(stored: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A BatchTopK SAE of training as SAELens saves it for inference."""
    threshold = stored[SHARED_THRESHOLD].expand(len(stored["b_enc"]))
    arrays = {**stored, "threshold": threshold}
    if not config.get("rescale_acts_by_decoder_norm", False):
        return arrays
    # There the threshold, and every activation, counts in units of normalised decoder rows.
    norms = stored["W_dec"].norm(dim=-1).clamp(min=MIN_NORM)
    folded = {"W_enc": stored["W_enc"] * norms, "b_enc": stored["b_enc"] * norms}
    return {**arrays, **folded, "W_dec": stored["W_dec"] / norms.unsqueeze(1)}


def _check_scaling(stored: Mapping[str, Tensor], path: Path) -> None:
    """Before version 6 a file could hold a factor an activation; one that is not 1 is not supported."""
    for name in ("scaling_factor", "finetuning_scaling_factor"):
        factor = stored.get(name)
        if factor is not None and bool((factor.float() != 1).any()):
            raise SAEFormatError(
                f"{path}: {name}, which is not supported", "an SAE without it", "fold it into W_dec"
            )

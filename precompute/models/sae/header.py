"""What an SAE says of itself, read without loading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from precompute.errors import SAEFormatError

Normalization = Literal["none", "expected_average_only_in", "constant_norm_rescale", "layer_norm"]
NORMALIZATIONS: tuple[Normalization, ...] = (
    "none",
    "expected_average_only_in",
    "constant_norm_rescale",
    "layer_norm",
)
"""Normalisations of the input by the names that SAELens gives them."""

_COMMON = {"W_enc": ("d_in", "d_sae"), "W_dec": ("d_sae", "d_in"), "b_dec": ("d_in",)}
PARAMETERS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "standard": {**_COMMON, "b_enc": ("d_sae",)},
        "topk": {**_COMMON, "b_enc": ("d_sae",)},
        "jumprelu": {**_COMMON, "b_enc": ("d_sae",), "threshold": ("d_sae",)},
        "gated": {**_COMMON, "b_gate": ("d_sae",), "b_mag": ("d_sae",), "r_mag": ("d_sae",)},
    }
)
"""The arrays of each supported architecture, with their shapes."""


@dataclass(frozen=True)
class SAEHeader:
    """An SAE's architecture, widths and conventions."""

    format: str
    """Name of the file format, such as `saelens`."""
    architecture: str
    """A key of PARAMETERS."""
    d_in: int
    """Width of the activations that it reads."""
    d_sae: int
    """Number of features."""
    hook_name: str | None = None
    """Capture site on which it was trained; None where its files do not say."""
    prepend_bos: bool = True
    """Whether it was trained on examples that begin with BOS."""
    k: int | None = None
    """Features that a TopK SAE keeps a row."""
    apply_b_dec_to_input: bool = True
    """Whether `b_dec` is taken off the input before encoding."""
    normalize_activations: Normalization = "none"
    """Normalisation of the input, undone by `decode`."""
    center_activations: bool = False
    """Whether it was trained on a model whose writing weights TransformerLens had centered: there every
    vector of the residual stream has mean 0, which changes nothing that a LayerNorm reads."""
    rescale_acts_by_decoder_norm: bool = False
    """Whether activations count in units of normalised decoder rows (TopK only)."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of its arrays."""
        width = {"d_in": self.d_in, "d_sae": self.d_sae}
        axes = PARAMETERS[self.architecture]
        return {name: tuple(width[axis] for axis in shape) for name, shape in axes.items()}


def check_architecture(name: object, where: object) -> str:
    """The architecture if it is supported; raises SAEFormatError naming what it is, and what is supported."""
    if isinstance(name, str) and name in PARAMETERS:
        return name
    raise SAEFormatError(
        f"{where}: an SAE of architecture {name!r}, which is not supported",
        f"one of {', '.join(sorted(PARAMETERS))}",
        "convert it, or choose another SAE",
    )


def positive_int(config: Mapping[str, Any], key: str, where: object) -> int:
    """A whole number from 1 on; raises SAEFormatError otherwise."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SAEFormatError(f"{where}: {key} = {value!r}", "a whole number from 1 on", "correct the file")
    return value


def check_k(k: int, d_sae: int, where: object) -> int:
    """k of a TopK SAE; raises SAEFormatError where it has fewer features than that."""
    if k > d_sae:
        raise SAEFormatError(f"{where}: k = {k}", f"at most d_sae = {d_sae}", "correct the file")
    return k


def check_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: object
) -> None:
    """Raise SAEFormatError where an array is absent or has another shape than the header promises."""
    for name, shape in expected.items():
        if name not in found:
            raise SAEFormatError(f"{where}: no array {name!r}", f"{name} of shape {shape}", "save it again")
        if found[name] != shape:
            raise SAEFormatError(
                f"{where}: {name} of shape {found[name]}", f"{shape}", "correct the configuration beside it"
            )

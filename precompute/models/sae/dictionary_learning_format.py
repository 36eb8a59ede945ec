"""dictionary_learning's directory: `ae.pt` beside `config.json`.

Conventions as in dictionary.py and trainers/ of dictionary-learning 0.1, whose `load_dictionary` gives an
AutoEncoder decoder columns of norm 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError
from precompute.models.sae.header import SAEHeader, check_k, positive_int
from precompute.models.sae.pickles import PickledSAE
from precompute.models.sae.weights import read_json

RESIDUAL = re.compile(r"resid(?:ual)?(?:_(pre|mid|post|out))?(?:_?(?:layer_?)?\d+)?")
"""What trainers call the residual stream, with the number of its layer or without."""

if TYPE_CHECKING:
    from torch import Tensor

NAME = "dictionary_learning"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "ae.pt"


def recognises(path: Path, content: Mapping[str, Any]) -> bool:
    """Whether the content of the file is an SAE of this format."""
    named = path.name == WEIGHTS_FILE and (path.parent / CONFIG_FILE).is_file()
    return named and ("encoder.weight" in content or "W_enc" in content)


def read(path: Path, content: Mapping[str, Any]) -> PickledSAE:
    """The SAE; raises SAEFormatError for a class of dictionary that is not supported."""
    described = path.parent / CONFIG_FILE
    trainer = read_json(described).get("trainer")
    trainer = trainer if isinstance(trainer, Mapping) else {}
    name = str(trainer.get("dict_class"))
    if name not in CLASSES:
        raise SAEFormatError(
            f"{described}: a dictionary of class {name!r}, which is not supported",
            f"one of {', '.join(CLASSES)}",
            "choose another SAE",
        )
    kind = CLASSES[name]
    try:
        weights = kind.weights({key: value for key, value in content.items() if hasattr(value, "float")})
    except KeyError as error:
        raise SAEFormatError(f"{path}: no array {error}", f"those of {name}", "save it again") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:150]
        raise SAEFormatError(
            f"{path}: arrays that do not fit ({reason})", f"those of {name}", "save it again"
        ) from None
    d_in, d_sae = weights["W_enc"].shape
    is_top_k = kind.architecture == "topk"
    header = SAEHeader(
        format=NAME,
        architecture=kind.architecture,
        d_in=d_in,
        d_sae=d_sae,
        hook_name=_hook_name(trainer),
        k=check_k(positive_int(trainer, "k", described), d_sae, described) if is_top_k else None,
        apply_b_dec_to_input=kind.apply_b_dec_to_input,
    )
    if "threshold" in weights and kind.is_batch_top_k:
        _check_threshold(weights["threshold"], path)
    return PickledSAE(header, weights)


def _hook_name(trainer: Mapping[str, Any]) -> str | None:
    """The trainer's site; the residual stream after its layer where none is named, None for others."""
    layer, submodule = trainer.get("layer"), trainer.get("submodule_name") or "resid_post"
    site = RESIDUAL.fullmatch(str(submodule).lower())
    if site is None or not isinstance(layer, int) or isinstance(layer, bool) or layer < 0:
        return None
    return f"blocks.{layer}.hook_resid_{'post' if site[1] in (None, 'out') else site[1]}"


def _check_threshold(threshold: Tensor, path: Path) -> None:
    """Training keeps -1 until it has an average of what batches let through."""
    if bool((threshold < 0).any()):
        raise SAEFormatError(
            f"{path}: a BatchTopK SAE without its threshold", "a threshold from 0 on", "train it further"
        )


def _linear(stored: Mapping[str, Tensor], b_dec: str) -> dict[str, Tensor]:
    """Of torch's linear layers, whose weights lie [outputs, inputs]."""
    return {
        "W_enc": stored["encoder.weight"].float().T,
        "b_enc": stored["encoder.bias"].float(),
        "W_dec": stored["decoder.weight"].float().T,
        "b_dec": stored[b_dec].float(),
    }


def _normalized(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With decoder rows of norm 1, what the encoder gives scaled the other way; a zero row stays as it is."""
    weights = _linear(stored, "bias")
    norms = weights["W_dec"].norm(dim=1)
    norms = norms.where(norms > 0, 1.0)
    return weights | {
        "W_dec": weights["W_dec"] / norms[:, None],
        "W_enc": weights["W_enc"] * norms,
        "b_enc": weights["b_enc"] * norms,
    }


def _gated(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        "W_enc": stored["encoder.weight"].float().T,
        "b_gate": stored["gate_bias"].float(),
        "b_mag": stored["mag_bias"].float(),
        "r_mag": stored["r_mag"].float(),
        "W_dec": stored["decoder.weight"].float().T,
        "b_dec": stored["decoder_bias"].float(),
    }


def _oriented(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of classes that name and orient their arrays as here; one threshold may be meant for all features."""
    weights = {name: stored[name].float() for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    return weights | {"threshold": _for_each(stored["threshold"], weights["b_enc"])}


def _batch_top_k(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = _linear(stored, "b_dec")
    return weights | {"threshold": _for_each(stored["threshold"], weights["b_enc"])}


def _for_each(threshold: Tensor, like: Tensor) -> Tensor:
    return threshold.float().expand_as(like).clone()


@dataclass(frozen=True)
class DictionaryClass:
    """How one class of dictionaries encodes, and how its arrays are stored."""

    architecture: str
    weights: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    apply_b_dec_to_input: bool = True
    is_batch_top_k: bool = False
    """Whether its threshold stands for the k of whole batches."""


CLASSES: Mapping[str, DictionaryClass] = {
    "AutoEncoder": DictionaryClass("standard", _normalized),
    "AutoEncoderNew": DictionaryClass("standard", lambda stored: _linear(stored, "decoder.bias"), False),
    "GatedAutoEncoder": DictionaryClass("gated", _gated),
    "AutoEncoderTopK": DictionaryClass("topk", lambda stored: _linear(stored, "b_dec")),
    "JumpReluAutoEncoder": DictionaryClass("jumprelu", _oriented, False),
    "BatchTopKSAE": DictionaryClass("jumprelu", _batch_top_k, is_batch_top_k=True),
    "MatryoshkaBatchTopKSAE": DictionaryClass("jumprelu", _oriented, is_batch_top_k=True),
}
"""The classes of dictionaries that are supported."""

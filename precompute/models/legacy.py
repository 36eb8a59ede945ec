"""Weights in PyTorch's older pickled files: read only where the user allows it, tensors alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

OPTION = "--allow-legacy-weights"


def refuse(path: Path, expected: str) -> ModelError:
    """The error for a pickled file that was not allowed."""
    return ModelError(
        f"the pickle {path.name}, which is not read by itself, in {path.parent}", expected, f"add {OPTION}"
    )


def read_legacy(path: Path) -> Any:
    """Tensors, and plain containers of them, of a `.pt` or `.bin` file; raises ModelError for anything else.

    Only tensors and plain values are unpickled (`weights_only`): code in the file does not run.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that another program wrote
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - bytes that are no pickle end in whatever comes first
        reason = " ".join(str(error).split())[:150]
        raise ModelError(
            f"{path} that cannot be read ({reason})", "a file of tensors alone", "save it as safetensors"
        ) from None


def tensors_of(value: Any, path: Path) -> dict[str, Tensor]:
    """The named tensors of a file, one level of nesting undone; raises ModelError where there are none."""
    import torch

    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, dict) and value and all(isinstance(each, torch.Tensor) for each in value.values()):
        return {str(name): tensor for name, tensor in value.items()}
    raise ModelError(f"{path} that holds no table of tensors", "named tensors", "save it as safetensors")

"""Safetensors files of an SAE, read with clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SAEFormatError

if TYPE_CHECKING:
    from torch import Tensor

PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"})
"""How files that may run code when they are read are called."""


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a safetensors file, from its head alone.

    Raises SAEFormatError for a file that is absent, cut short, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise SAEFormatError(_missing(path), "an SAE's weights in safetensors", "correct `sae`") from None
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every array of a safetensors file, on the CPU, in its own type."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, error) from None
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises SAEFormatError for anything else."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SAEFormatError(
            f"{path} that cannot be read ({error})", "an SAE's configuration in JSON", "save the SAE again"
        ) from None
    if not isinstance(parsed, dict):
        raise SAEFormatError(f"{path} that holds no JSON object", "an SAE's configuration", "save it again")
    return parsed


def _missing(path: Path) -> str:
    """What is found in the place of a file, a pickle by its name."""
    pickle = next((p for p in sorted(path.parent.glob("*")) if p.suffix in PICKLE_SUFFIXES), None)
    return f"no file {path}" if pickle is None else f"the pickle {pickle}, which is not read,"


def _corrupt(path: Path, error: Exception) -> SAEFormatError:
    return SAEFormatError(
        f"{path} that cannot be read as safetensors ({error})",
        "a whole safetensors file",
        "copy or save the SAE again",
    )

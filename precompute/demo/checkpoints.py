"""Checkpoints of a training run: tensors in safetensors, numbers in JSON, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

INTERVAL_S = 300.0
"""Seconds between checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """What a training run needs to go on."""

    tensors: dict[str, Tensor]
    """Weights and optimizer state, by dotted name."""
    progress: dict[str, Any]
    """Counters: steps done, seconds used."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
    """Write one safetensors file with the progress in its metadata, so that both change at once."""
    staged = path.with_name(f".tmp-{path.name}")
    contiguous = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, staged, metadata={"progress": json.dumps(progress)})
    staged.replace(path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint at `path`, or None where a run starts anew."""
    from safetensors import safe_open

    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stream:
        progress = json.loads(stream.metadata()["progress"])
    return Checkpoint(load_file(path), progress)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return an optimizer's state as named tensors: `prefix.parameter.key`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, entries in state.items()
        for key, value in entries.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Put the tensors of `optimizer_tensors` back into an optimizer."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

"""The demo's text autoencoder as a checkpoint that the sweeps read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from precompute.demo.activations import HOOK_NAME, N_CTX
from precompute.demo.autoencoder_model import Explainer, Moments, Reconstructor
from precompute.models.text_autoencoder.checkpoint import Checkpoint, write_header
from precompute.models.text_autoencoder.lora import EXPLAINER, MAPS_FILE, RECONSTRUCTOR


def export_autoencoder(  # noqa: PLR0917 - the parts of a checkpoint
    explainer: Explainer,
    reconstructor: Reconstructor,
    moments: Moments,
    n_tokens: int,
    directory: Path,
    model: str = "../language_model",
) -> Checkpoint:
    """Write adapters and maps in float16, and the header; `model` is relative to the directory."""
    from safetensors.torch import save_file

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    parts = ((EXPLAINER, explainer.model), (RECONSTRUCTOR, reconstructor.trunk))
    for name, adapted in parts:
        _save_adapter(adapted, directory / name, Path(model).name)
    weights = {"soft_token": explainer.soft_token, "readout": reconstructor.readout}
    tensors: dict[str, Tensor] = {}
    for name, linear in weights.items():
        tensors[f"{name}.weight"] = linear.weight.detach().to(torch.float16).contiguous()
        tensors[f"{name}.bias"] = linear.bias.detach().float().contiguous()
    tensors["mean"] = moments.mean.float().contiguous()
    tensors["scale"] = torch.tensor([moments.scale], dtype=torch.float32)
    save_file(tensors, directory / MAPS_FILE)
    return write_header(
        directory,
        {
            "model": model,
            "hook_name": HOOK_NAME,
            "d_in": len(moments.mean),
            "n_tokens": n_tokens,
            "n_ctx": N_CTX,
        },
    )


def _save_adapter(adapted: Any, directory: Path, model: str) -> None:
    for config in adapted.peft_config.values():
        config.base_model_name_or_path = model  # peft notes where it lay on this machine
    tensors = {name: value for name, value in adapted.named_parameters() if ".lora_" in name}
    before = {name: value.detach().clone() for name, value in tensors.items()}
    for value in tensors.values():
        value.data = value.data.half()
    adapted.save_pretrained(directory, save_embedding_layers=False)  # otherwise peft asks the hub
    for name, value in tensors.items():
        value.data = before[name]
    (directory / "README.md").unlink(missing_ok=True)  # an empty form

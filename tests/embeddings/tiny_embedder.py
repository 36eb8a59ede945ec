"""A model directory in small: a random language model, a LoRA adapter and a projection, written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.tiny import D_MODEL, make_language_model, make_texts

RANK, ALPHA, D = 4, 8, 24
TARGETS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
WIDTHS = {
    "self_attn.q_proj": (D_MODEL, D_MODEL),
    "self_attn.v_proj": (D_MODEL, D_MODEL),
    "mlp.down_proj": (64, D_MODEL),
}


def make_embedder(directory: Path, prefix: str = "base_model.model.model.", seed: int = 0) -> Path:
    """A model directory that names its base model beside it."""
    make_language_model(directory / "base", make_texts(150))
    make_adapter(directory / "lora_adapters", prefix, seed)
    make_projection(directory, seed)
    (directory / "embedder.json").write_text(
        json.dumps({"base_model": "base", "adapter": True, "projection": True})
    )
    return directory


def make_adapter(directory: Path, prefix: str, seed: int) -> None:
    from safetensors.numpy import save_file

    draw = np.random.default_rng(seed)
    tensors = {}
    for layer in range(3):
        for name in TARGETS:
            wide, out = WIDTHS[name]
            place = f"{prefix}layers.{layer}.{name}"
            tensors[f"{place}.lora_A.weight"] = draw.normal(size=(RANK, wide)).astype(np.float32) * 0.3
            tensors[f"{place}.lora_B.weight"] = draw.normal(size=(out, RANK)).astype(np.float32) * 0.3
    directory.mkdir(parents=True)
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": [name.rpartition(".")[2] for name in TARGETS],
        "base_model_name_or_path": "base",
        "bias": "none",
    }
    (directory / "adapter_config.json").write_text(json.dumps(config))


def make_projection(directory: Path, seed: int) -> None:
    from safetensors.numpy import save_file

    draw = np.random.default_rng(seed + 1)
    tensors = {
        "weight": draw.normal(size=(D, D_MODEL)).astype(np.float32),
        "bias": draw.normal(size=D).astype(np.float32),
    }
    save_file(tensors, directory / "projection.safetensors")


def make_dataset(path: Path, n: int = 101) -> list[str]:
    """n texts as jsonl: empty, one-token and over-long ones, duplicates, and two metadata columns."""
    texts = [*make_texts(n - 3), "long " * 300, "x", "\n"]
    rows = [{"text": text, "source": f"s{i % 3}", "year": 2000 + i % 5} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return texts

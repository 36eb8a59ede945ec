"""A slow, obvious encoder: one text at a time, float32, no padding, LoRA merged by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def reference_vectors(
    directory: Path, texts: list[str], pooling: str = "mean", max_length: int = 256
) -> np.ndarray:
    """e = W · pool(last hidden state) + b, normalised, each text by itself."""
    import torch
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(directory / "base", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory / "base")
    config = json.loads((directory / "lora_adapters" / "adapter_config.json").read_text())
    adapter = load_file(directory / "lora_adapters" / "adapter_model.safetensors")
    named = dict(model.named_parameters())
    for name, down in adapter.items():
        if ".lora_A." in name:
            up = adapter[name.replace("lora_A", "lora_B")]
            place = name.removeprefix("base_model.model.").replace("lora_A.", "")
            update = config["lora_alpha"] / config["r"] * (up.astype(np.float64) @ down.astype(np.float64))
            with torch.no_grad():
                named[place] += torch.from_numpy(update.astype(np.float32))
    projection = load_file(directory / "projection.safetensors")
    found = []
    for text in texts:
        ids = tokenizer(text, split_special_tokens=True)["input_ids"][: min(max_length, 256)] or [0]
        with torch.no_grad():
            states = model.model(torch.tensor([ids])).last_hidden_state[0].double().numpy()
        pooled = {"mean": states.mean(0), "last": states[-1], "cls": states[0]}[pooling]
        vector = projection["weight"].astype(np.float64) @ pooled + projection["bias"]
        found.append(vector / np.linalg.norm(vector))
    return np.array(found)

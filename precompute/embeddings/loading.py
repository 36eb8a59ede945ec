"""Loading an embedding model: base model, adapter merged in, projection; nothing is ever random."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.embeddings.encoder import EncoderOptions, TextEncoder
from precompute.embeddings.model_directory import EmbedderFiles
from precompute.embeddings.tokens import prepared
from precompute.errors import ModelError
from precompute.models.adapter import CONFIG_FILE, PICKLE, WEIGHTS_FILE, merge_adapter
from precompute.models.language_model import chosen_device, load_tokenizer, load_weights
from precompute.models.legacy import read_legacy, tensors_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNUSED = ("pooler.",)
"""Weights of encoders that no pooling here reads, and that many files lack."""
PEFT_PREFIX = "base_model.model."
HALF = ("float16", "bfloat16")


def load_encoder(files: EmbedderFiles, options: EncoderOptions, device: str) -> TextEncoder:
    """Load an encoder; raises ModelError for a part that cannot be used."""
    where = chosen_device(device)
    config = _config(files.base)
    causal = _is_causal(config)
    if (options.pooling or files.pooling) == "logits" and not causal:
        raise ModelError(
            f"--pooling logits of {files.base}", "a causal language model", "choose another pooling"
        )
    network = load_weights(files.base, _dtype(options, config, where), causal, UNUSED)
    if network.config.is_encoder_decoder:
        raise ModelError(
            f"the encoder-decoder {files.base}", "a decoder or an encoder", "choose another model"
        )
    if files.adapter is not None:
        network = _adapted(network, files.adapter)
    projection = None if files.projection is None else _projection(files.projection, network, where)
    return TextEncoder(
        files=files,
        options=options,
        network=network.eval().requires_grad_(False).to(where),
        tokenizer=prepared(load_tokenizer(str(files.base)), options.max_length, _n_positions(network)),
        projection=projection,
        device=where,
    )


def _config(directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


def _is_causal(config: dict[str, Any]) -> bool:
    names = config.get("architectures") or [""]
    return str(names[0]).endswith(("ForCausalLM", "LMHeadModel"))


def _dtype(options: EncoderOptions, config: dict[str, Any], device: str) -> torch.dtype:
    import torch

    chosen: str = options.dtype
    if chosen == "auto":
        own = str(config.get("dtype") or config.get("torch_dtype"))
        chosen = (own if own in HALF else "bfloat16") if device.startswith("cuda") else "float32"
    dtype: torch.dtype = getattr(torch, chosen)
    return dtype


def _n_positions(network: Any) -> int | None:
    """Positions that the model has learnt, where it learns them; others (rotary) go on beyond."""
    config = network.config.get_text_config()
    n_positions = getattr(config, "max_position_embeddings", None)
    if n_positions is None or getattr(config, "rope_parameters", None):
        return None
    # RoBERTa's family counts positions from the padding id on.
    embeddings = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    offset = getattr(embeddings, "padding_idx", None)
    return int(n_positions) - (0 if offset is None else int(offset) + 1)


def _adapted(network: Any, adapter: Path) -> Any:
    """The model with the adapter merged in: into the whole model or its trunk, whichever it was made for."""
    with tempfile.TemporaryDirectory() as scratch:
        if not (adapter / WEIGHTS_FILE).is_file():
            adapter = converted_adapter(adapter, Path(scratch))
        prefix = network.base_model_prefix
        trunk = getattr(network, prefix, None)
        if trunk is None or trunk is network or _is_of_whole(network, adapter):
            return merge_adapter(network, str(adapter.absolute()))
        setattr(network, prefix, merge_adapter(trunk, str(adapter.absolute())))
        return network


def _is_of_whole(network: Any, adapter: Path) -> bool:
    """Whether the adapter's names begin at the model with its output layer."""
    from safetensors import safe_open

    with safe_open(adapter / WEIGHTS_FILE, framework="pt") as file:
        names = [name.removeprefix(PEFT_PREFIX) for name in file.keys()]  # noqa: SIM118 - not a dict
    modules = {name for name, _ in network.named_modules()}
    return bool(names) and names[0].split(".lora_")[0] in modules


def converted_adapter(adapter: Path, target: Path) -> Path:
    """Write the tensors of a pickled adapter as safetensors into `target`, with its configuration."""
    from safetensors.torch import save_file

    tensors = tensors_of(read_legacy(adapter / PICKLE), adapter / PICKLE)
    target.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, target / WEIGHTS_FILE)
    (target / CONFIG_FILE).write_bytes((adapter / CONFIG_FILE).read_bytes())
    return target


def read_projection(path: Path) -> dict[str, Tensor]:
    """weight [d, d_model] and, where there is one, bias [d]; raises ModelError for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} that cannot be read ({error})", "weight and bias", "save it again"
            ) from None
    else:
        tensors = tensors_of(read_legacy(path), path)
    named = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
    weight, bias = named.get("weight"), named.get("bias")
    fits = weight is not None and weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1])
    if len(named) != len(tensors) or set(named) - {"weight", "bias"} or not fits:
        held = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(tensors.items()))
        raise ModelError(
            f"{path} with {held or 'nothing'}", "weight [d, d_model] and bias [d]", "save it again"
        )
    return named


def _projection(path: Path, network: Any, device: str) -> Any:
    import torch

    tensors = read_projection(path)
    d, d_in = tensors["weight"].shape
    d_model = int(network.config.get_text_config().hidden_size)
    if d_in != d_model:
        raise ModelError(
            f"{path} for states of width {d_in}", f"{d_model}, the model's", "use its own projection"
        )
    linear = torch.nn.Linear(d_in, d, bias="bias" in tensors)
    linear.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return linear.requires_grad_(False).to(device)

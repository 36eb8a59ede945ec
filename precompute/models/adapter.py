"""LoRA adapters of peft, merged into a model's weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from precompute.errors import ModelError
from precompute.models.hub import resolve_directory

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"


def resolve_adapter_directory(adapter: str) -> Path:
    """The directory of an adapter given as a path or hub id; raises ModelError where a file is missing."""
    directory = resolve_directory(adapter, None, "adapter", ModelError)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (directory / name).is_file():
            pickled = name == WEIGHTS_FILE and (directory / PICKLE).is_file()
            found = f"the pickle {PICKLE}, which is not read," if pickled else f"no {name}"
            raise ModelError(
                f"{found} in adapter {directory}",
                f"{CONFIG_FILE} and {WEIGHTS_FILE}",
                "save the adapter again",
            )
    return directory


def merge_adapter(model: Any, adapter: str) -> Any:
    """The model with the adapter's low-rank updates added to its weights.

    Raises ModelError where the adapter does not fit the model, or promises weights that it does not hold:
    peft would leave those random.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    directory = resolve_adapter_directory(adapter)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adapted = PeftModel.from_pretrained(
                model, str(directory), is_trainable=False, torch_device="cpu", use_safetensors=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"adapter {directory} that cannot be loaded ({reason})",
            "a LoRA adapter of this model",
            "correct `adapter`, or save it again",
        ) from None
    _check_complete(adapted, directory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapted.merge_and_unload()


def _check_complete(adapted: Any, directory: Path) -> None:
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(directory / WEIGHTS_FILE, framework="pt") as file:
        held = set(file.keys())
    # Left to itself, peft asks the hub whether the vocabulary has grown.
    embeddings = any(".lora_" not in key and ("embed" in key or "lm_head" in key) for key in held)
    promised = set(get_peft_model_state_dict(adapted, save_embedding_layers=embeddings))
    wrong = sorted(promised ^ held)
    if wrong:
        fault = "without" if wrong[0] in promised else "with the foreign weight"
        raise ModelError(
            f"adapter {directory} {fault} {wrong[0]} ({len(wrong)} in all)",
            "exactly the weights that its configuration names for this model",
            "save the adapter again",
        )

"""A Hugging Face language model or encoder, loaded from safetensors alone and ready to be looked into."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import ModelError, NotApplicableError
from precompute.models.hub import resolve_directory

if TYPE_CHECKING:
    import torch

    from precompute.config import ModelType
    from precompute.models.sites import SiteMap

CONFIG_FILE = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""One of these holds the weights, or names the files that do."""
POOLERS = ("pooler.",)
"""What some encoders have after their layers; nothing here reads it."""
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def resolve_model_directory(model: str, revision: str | None = None) -> Path:
    """The directory of a model given as a path or hub id; raises ModelError in one line.

    It holds a configuration and weights in safetensors; a pickle in their place is refused by name.
    """
    directory = resolve_directory(model, revision, "model", ModelError)
    if not (directory / CONFIG_FILE).is_file():
        raise ModelError(
            f"no {CONFIG_FILE} in {directory}", "a Hugging Face causal language model", "correct `model`"
        )
    if any((directory / name).is_file() for name in WEIGHTS):
        return directory
    pickle = next((name for name in PICKLES if (directory / name).is_file()), None)
    found = f"the pickle {pickle}, which is not read," if pickle else "no weights"
    raise ModelError(f"{found} in {directory}", "model.safetensors", "save the model as safetensors")


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """The model's own tokenizer; raises ModelError where there is none."""
    return tokenizer_in(resolve_model_directory(model, revision))


def tokenizer_in(directory: Path) -> Any:
    """The tokenizer in a directory; raises ModelError where there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(directory), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"no tokenizer that can be read in {directory} ({_one_line(error)})",
            "tokenizer.json beside the model",
            "save the tokenizer with the model",
        ) from None


def chosen_device(device: str) -> str:
    """The torch device of a setting; `auto` takes a GPU where there is one. Raises ModelError without it."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("--device cuda", "a GPU that torch can use", "use --device cpu or auto")
    if device.startswith("cuda:"):
        return device
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class LanguageModel:
    """A language model or encoder in evaluation mode; nothing in it is trained or random."""

    model: Any
    """The transformers model, adapter merged in."""
    device: str
    """Where it runs: cpu or cuda."""

    @cached_property
    def config(self) -> Any:
        """The configuration of its text part."""
        return self.model.config.get_text_config()

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.config.hidden_size)

    @cached_property
    def sites(self) -> SiteMap:
        """Its capture sites."""
        from precompute.models.sites import SiteMap

        return SiteMap.of(self.model)

    def check_predicts(self) -> None:
        """Raise NotApplicableError for a model without an output layer over its vocabulary."""
        if self.model.get_output_embeddings() is None:
            raise NotApplicableError("the model has no output layer, so it predicts no next token")

    def run_stack(self, token_ids: torch.Tensor, mask: torch.Tensor) -> None:
        """Run the decoder without its output layer, for what hooks see of it.

        token_ids, mask: int64 [n_examples, n_ctx], padded on the right, mask 0 there.
        """
        self.sites.decoder(input_ids=token_ids, attention_mask=mask, use_cache=False)

    def logits(self, token_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits of every position; float32 [n_examples, n_ctx, d_vocab]."""
        self.check_predicts()
        output = self.model(input_ids=token_ids, attention_mask=mask, use_cache=False)
        logits: torch.Tensor = output.logits
        return logits.float()


def load_language_model(model_type: ModelType, device: str = "auto") -> LanguageModel:
    """Load a model type's language model, its adapter merged in.

    Raises ModelError for weights that are missing, of another shape, in a pickle, or cannot be read: a
    weight that is not in the files would be random.
    """
    chosen = (model_type.model, model_type.revision, model_type.dtype, model_type.adapter)
    return open_language_model(*chosen, chosen_device(device))


def open_language_model(
    model: str, revision: str | None, dtype: str, adapter: str | None, device: str
) -> LanguageModel:
    """Load a language model onto a torch device, its adapter merged in; raises ModelError like the other."""
    import torch

    directory = resolve_model_directory(model, revision)
    causal = has_output_layer(directory)
    loaded = load_weights(directory, getattr(torch, dtype), causal, unused=() if causal else POOLERS)
    if adapter is not None:
        from precompute.models.adapter import merge_adapter

        loaded = merge_adapter(loaded, adapter)
    from precompute.models.fused import fuse_activations

    fuse_activations(loaded)
    return LanguageModel(loaded.eval().requires_grad_(False).to(device), device)


def has_output_layer(directory: Path) -> bool:
    """Whether the files are those of a model that predicts next tokens, by the class that wrote them.

    A base model or an encoder has none: what features do to logits does not apply to it, all else does.
    """
    from transformers.models.auto import modeling_auto as known

    config = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
    classes = set(config.get("architectures") or [])
    causal = set(known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    without = {
        *known.MODEL_MAPPING_NAMES.values(),
        *known.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values(),
    }
    return not classes or bool(classes & causal) or not classes <= without


def load_weights(
    directory: Path, dtype: torch.dtype, causal: bool = True, unused: tuple[str, ...] = ()
) -> Any:
    """The transformers model of a directory, from safetensors alone; `causal` gives it its output layer.

    Weights whose names begin with one of `unused` may be absent. Raises ModelError for any other.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    # What it would print of weights that the files lack becomes an error below, from the loading report.
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: Any = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(
                str(directory),
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"model {directory} that cannot be loaded ({_one_line(error)})",
            "a model that transformers knows, in whole safetensors files",
            "save or copy the model again",
        ) from None
    finally:
        logging.set_verbosity(verbosity)
    model, report = loaded
    _check_loaded(directory, report, unused)
    return model


def _check_loaded(directory: Path, report: dict[str, Any], unused: tuple[str, ...]) -> None:
    """Refuse a model of which transformers had to invent weights."""
    mismatched = [key if isinstance(key, str) else key[0] for key in report.get("mismatched_keys") or []]
    named = {*(report.get("missing_keys") or []), *mismatched}
    lacking = sorted(name for name in named if not name.startswith(unused))
    if lacking:
        raise ModelError(
            f"model {directory} without usable weights for {lacking[0]} ({len(lacking)} in all)",
            "every weight in the files, in the shape that config.json gives",
            "save or copy the model again",
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

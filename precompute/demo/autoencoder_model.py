"""The demo's text autoencoder while it is trained: two adapted copies of the language model and two maps."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from precompute.demo.activations import truncated
from precompute.demo.language_model import load_model
from precompute.demo.tokenizer import BOS_ID


@dataclass(frozen=True)
class Moments:
    """What centres and scales the activations."""

    mean: Tensor
    """Mean activation (d_in)."""
    scale: float
    """Root mean square of the centred components."""

    @staticmethod
    def of(activations: Tensor) -> Moments:
        """The moments of a sample (n, d_in)."""
        mean = activations.mean(0)
        return Moments(mean, float((activations - mean).square().mean().sqrt()))

    def normalized(self, activations: Tensor) -> Tensor:
        """Activations with mean zero and unit mean square (n, d_in)."""
        return (activations - self.mean) / self.scale


class Explainer(nn.Module):
    """Writes tokens about an activation, which it reads as a soft token after the beginning-of-text token."""

    def __init__(self, language_model: Path, rank: int, moments: Moments) -> None:
        super().__init__()
        model = load_model(language_model)
        d_model = model.config.hidden_size
        self.embedding = model.get_input_embeddings()
        self.model = with_adapter(model, rank)
        self.soft_token = nn.Linear(len(moments.mean), d_model)
        self.moments = moments

    def begin(self, activations: Tensor) -> Tensor:
        """The first two input vectors of each row (n, 2, d_model)."""
        first = self.embedding(torch.full((len(activations), 1), BOS_ID))
        return torch.cat([first, self.soft_token(self.moments.normalized(activations))[:, None]], 1)

    def logits(self, activations: Tensor, windows: Tensor) -> Tensor:
        """Scores of each written token (n, n_tokens, d_vocab), given those before it."""
        inputs = torch.cat([self.begin(activations), self.embedding(windows[:, :-1])], 1)
        output: Tensor = self.model(inputs_embeds=inputs, use_cache=False).logits[:, 1:]
        return output.float()

    @torch.no_grad()
    def sample(self, activations: Tensor, n_tokens: int, temperature: float = 1.0) -> Tensor:
        """Write `n_tokens` tokens about each activation: int64 (n, n_tokens)."""
        inputs, cache, written = self.begin(activations), None, []
        for _ in range(n_tokens):
            output = self.model(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            scores = (output.logits[:, -1].float() / temperature).softmax(-1)
            written.append(torch.multinomial(scores, 1))
            inputs = self.embedding(written[-1])
        return torch.cat(written, 1)


class Reconstructor(nn.Module):
    """Predicts the activation from the tokens: begins as the language model reading nothing else."""

    def __init__(self, language_model: Path, rank: int, d_in: int) -> None:
        super().__init__()
        self.trunk = with_adapter(truncated(load_model(language_model)), rank)
        self.readout = nn.Linear(d_in, d_in)
        nn.init.eye_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Activations (n, d_in) at the last of the tokens (n, n_tokens)."""
        first = torch.full((len(windows), 1), BOS_ID)
        states = self.trunk(input_ids=torch.cat([first, windows], 1), use_cache=False).last_hidden_state
        output: Tensor = self.readout(states[:, -1].float())
        return output


def with_adapter(model: Any, rank: int) -> Any:
    """The model with a fresh LoRA adapter on every linear layer; nothing else of it is trained."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(model, config)


def fit_soft_token(explainer: Explainer, activations: Tensor, tokens: Tensor, ridge: float = 1e-2) -> None:
    """Begin the soft token as the embedding of the row's own token, as far as a linear map can tell it."""
    inputs = explainer.moments.normalized(activations).double()
    targets = explainer.embedding.weight.detach()[tokens].double()
    centre = targets.mean(0)
    gram = inputs.T @ inputs + ridge * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, inputs.T @ (targets - centre))
    with torch.no_grad():
        explainer.soft_token.weight.copy_(weight.T)
        explainer.soft_token.bias.copy_(centre)


def as_tensor(values: np.ndarray[Any, Any]) -> Tensor:
    """A float32 tensor of float16 rows, an int64 tensor of token ids."""
    kind = np.float32 if values.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))

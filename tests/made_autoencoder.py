"""A text autoencoder of the tiny language model: adapters that were never trained, but are not nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from precompute.demo.autoencoder_export import export_autoencoder
from precompute.demo.autoencoder_model import Explainer, Moments, Reconstructor
from precompute.models.text_autoencoder.checkpoint import Checkpoint
from tests.tiny import D_MODEL, make_corpus, make_language_model, make_texts

N_TOKENS = 3


def make_autoencoder(root: Path, seed: int = 0, n_texts: int = 40) -> Checkpoint:
    """A language model in `lm`, its text autoencoder in `autoencoder`, texts in `texts.jsonl`."""
    texts = make_texts(n_texts)
    make_corpus(root / "texts.jsonl", texts)
    make_language_model(root / "lm", texts)
    return add_autoencoder(root, "autoencoder", seed)


def add_autoencoder(root: Path, name: str, seed: int) -> Checkpoint:
    """Another text autoencoder of the same language model."""
    torch.manual_seed(seed)
    moments = Moments(torch.randn(D_MODEL), 1.5)
    explainer = Explainer(root / "lm", 4, moments)
    reconstructor = Reconstructor(root / "lm", 4, D_MODEL)
    for part in (explainer, reconstructor):
        for parameter_name, parameter in part.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, 0.0, 0.05)
    return export_autoencoder(explainer, reconstructor, moments, N_TOKENS, root / name, "../lm")

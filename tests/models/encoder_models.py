"""Tiny encoders without an output layer, in the place of a model type's language model."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.tiny import D_MODEL

SIZES = {
    "hidden_size": D_MODEL,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 1,
}


def _bert(d_vocab: int) -> Any:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(vocab_size=d_vocab, **SIZES))


def _modern_bert(d_vocab: int) -> Any:
    from transformers import ModernBertConfig, ModernBertModel

    special = {"cls_token_id": 0, "sep_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    return ModernBertModel(ModernBertConfig(vocab_size=d_vocab, **SIZES, **special))


def _llama(d_vocab: int) -> Any:
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(LlamaConfig(vocab_size=d_vocab, **SIZES, num_key_value_heads=4))


ENCODERS: Mapping[str, Callable[[int], Any]] = {
    "bert": _bert,
    "modern_bert": _modern_bert,
    "llama_base": _llama,
}


def make_encoder(family: str, directory: Path) -> None:
    """Write an encoder over the language model of a directory; its tokenizer stays."""
    import torch

    d_vocab = json.loads((directory / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ENCODERS[family](d_vocab).save_pretrained(directory)

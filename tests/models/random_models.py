"""Tiny random language models of several families, saved as a user would have them, and random SAEs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch

from precompute.config import CorpusConfig, ModelType
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.lightwell_format import save

D_MODEL, N_LAYERS, D_VOCAB, D_SAE = 16, 3, 50, 40

_SIZE = {
    "vocab_size": D_VOCAB,
    "hidden_size": D_MODEL,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
_GEMMA = {**_SIZE, "num_key_value_heads": 1, "head_dim": 8}


def _llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_SIZE, num_key_value_heads=2))


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=D_VOCAB, n_embd=D_MODEL, n_layer=N_LAYERS, n_head=2, n_positions=64, bos_token_id=0,
            eos_token_id=0,
        )
    )  # fmt: skip


def _gpt_neox() -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(GPTNeoXConfig(**_SIZE, use_parallel_residual=True))


def _gemma2() -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    return Gemma2ForCausalLM(Gemma2Config(**_GEMMA, final_logit_softcapping=2.0, query_pre_attn_scalar=8))


def _gemma3() -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    return Gemma3ForCausalLM(Gemma3TextConfig(**_GEMMA, query_pre_attn_scalar=8))


def _cohere() -> Any:
    from transformers import CohereConfig, CohereForCausalLM

    return CohereForCausalLM(CohereConfig(**_SIZE, logit_scale=0.0625))


def _opt() -> Any:
    """With output projection: it embeds in 12 dimensions."""
    from transformers import OPTConfig, OPTForCausalLM

    sizes = {**_SIZE, "ffn_dim": 24, "word_embed_proj_dim": 12}
    sizes.pop("intermediate_size")
    return OPTForCausalLM(OPTConfig(**sizes, do_layer_norm_before=True))


FAMILIES: Mapping[str, Callable[[], Any]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "cohere": _cohere,
    "opt": _opt,
}


def save_model(family: str, directory: Path, seed: int = 0) -> Path:
    """A model of that family with random weights, norms and biases included; its directory."""
    torch.manual_seed(seed)
    model = FAMILIES[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(directory)
    return directory


def save_sae(
    directory: Path,
    hook_name: str = "blocks.1.hook_resid_post",
    architecture: str = "topk",
    storage: str = "float32",
    seed: int = 1,
    **header: Any,
) -> Path:
    """A random SAE in the project's own format; its directory."""
    described = SAEHeader(
        **{
            "format": "lightwell",
            "architecture": architecture,
            "d_in": D_MODEL,
            "d_sae": D_SAE,
            "hook_name": hook_name,
            "k": 4 if architecture == "topk" else None,
            **header,
        }
    )
    generator = torch.Generator().manual_seed(seed)
    weights = {n: torch.randn(s, generator=generator) * 0.4 for n, s in described.shapes().items()}
    save(directory, described, weights, storage)
    return directory


def model_type(model: Path, sae: Path, **changes: Any) -> ModelType:
    """A model type of these directories."""
    return ModelType(
        **{
            "name": "random",
            "model": str(model),
            "sae": str(sae),
            "corpus": CorpusConfig(builtin=True),
            **changes,
        }
    )


def write_windows(path: Path, examples: list[list[int]], n_special: int = 1) -> Path:
    """The columns of windows.parquet that steps with a model read."""
    n = len(examples)
    pl.DataFrame(
        {
            "example": pl.Series(range(n), dtype=pl.UInt32),
            "n_special": pl.Series([n_special] * n, dtype=pl.UInt32),
            "token_ids": pl.Series(examples, dtype=pl.List(pl.Int32)),
        }
    ).write_parquet(path)
    return path


def random_examples(n: int, n_ctx: int = 12, seed: int = 0) -> list[list[int]]:
    """Examples of 1 to n_ctx tokens, BOS first; some hold nothing else."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, n_ctx, (n,), generator=generator).tolist()
    return [[0, *torch.randint(2, D_VOCAB, (m,), generator=generator).tolist()] for m in lengths]

"""A user's own model type in small: a real causal LM, tokenizer, SAE and corpus, made on the spot."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORDS = """
return the value of a list or array in order file path open read write index key error if not none
number string data model layer token feature row column type class function method
""".split()  # noqa: SIM905 - easier to read than a list
D_MODEL, D_SAE, K = 32, 96, 8


@dataclass(frozen=True)
class TinyFiles:
    """Where the parts of the tiny model type lie."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "lm"

    @property
    def sae(self) -> Path:
        return self.root / "sae"

    @property
    def corpus(self) -> Path:
        return self.root / "texts.jsonl"

    @property
    def config(self) -> Path:
        return self.root / "my.toml"


def make_all(root: Path, storage: str = "npy", n_texts: int = 150) -> TinyFiles:
    """Model, SAE, corpus and configuration of a model type `mine`."""
    files = TinyFiles(root)
    texts = make_texts(n_texts)
    make_corpus(files.corpus, texts)
    make_language_model(files.model, texts)
    make_sae(files.sae)
    make_config(files.config, storage)
    return files


def make_texts(n: int) -> list[str]:
    """Texts of many lengths: an empty one, duplicates, markup and other scripts among them."""
    draw = random.Random(0)
    odd = [
        "",
        "<s> a <br> b &lt; c",
        "héllo wörld 你好 עברית\u200b",
        "x",
        "tab\tand\nline",
        "<|endoftext|> in a text",
    ]
    regular = [" ".join(draw.choices(WORDS, k=draw.randint(3, 60))) for _ in range(n - len(odd) - 3)]
    return [*odd, *regular, *regular[:3]]


def make_corpus(path: Path, texts: list[str]) -> None:
    """A jsonl corpus with two metadata columns."""
    rows = [
        {"text": text, "source": "held" if i % 7 == 3 else f"s{i % 3}", "year": 2000 + i % 5}
        for i, text in enumerate(texts)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_language_model(directory: Path, texts: list[str], seed: int = 0) -> None:
    """A Llama of 3 layers with random weights, and a byte-level BPE tokenizer of its own."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|pad|>"
    )
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=D_MODEL,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(directory)


def make_sae(directory: Path, d_in: int = D_MODEL, d_sae: int = D_SAE, seed: int = 0) -> None:
    """A TopK SAE with random directions in the project's own format."""
    from safetensors.numpy import save_file

    directory.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    directions = draw.normal(size=(d_sae, d_in))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weights = {
        "W_enc": directions.T.astype(np.float16).copy(),
        "W_dec": directions.astype(np.float16),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "b_dec": (0.1 * draw.normal(size=d_in)).astype(np.float32),
    }
    save_file(weights, directory / "sae.safetensors")
    header = {
        "format": "lightwell-sae",
        "format_version": 1,
        "architecture": "topk",
        "k": K,
        "d_in": d_in,
        "d_sae": d_sae,
        "hook_name": "blocks.1.hook_resid_post",
        "apply_b_dec_to_input": True,
        "prepend_bos": True,
        "storage": "float16",
    }
    (directory / "sae.json").write_text(json.dumps(header))


def make_config(path: Path, storage: str = "npy", extra: str = "") -> None:
    """The TOML of the model type `mine`."""
    path.write_text(
        f"""
[model_types.mine]
model = "lm"
sae = "sae"
storage = "{storage}"
{extra}
[model_types.mine.corpus]
path = "texts.jsonl"
n_ctx = 24
held_out = {{ source = "held" }}
"""
    )

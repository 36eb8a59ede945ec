"""A user's own files, as the libraries of the field write them: `python -m tests.own_model DIR`."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from tests.tiny import make_texts

D_MODEL, D_SAE = 48, 200


def main(root: Path) -> None:
    """Write a GPT-2, a LoRA adapter on it, a JumpReLU SAE of SAELens, a jsonl corpus and the TOML."""
    texts = make_texts(400)
    write_model(root / "gpt2", texts)
    write_adapter(root / "gpt2", root / "lora")
    write_sae(root / "jumprelu")
    lines = [
        json.dumps({"body": text, "split": "test" if i % 9 == 0 else "train"}) for i, text in enumerate(texts)
    ]
    (root / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "my.toml").write_text(
        """
[model_types.mine]
model = "gpt2"
adapter = "lora"
sae = "jumprelu"
storage = "zarr"
[model_types.mine.corpus]
path = "texts.jsonl"
text_column = "body"
n_ctx = 32
max_examples = 300
held_out = { split = "test" }
"""
    )


def write_model(directory: Path, texts: list[str]) -> None:
    """A GPT-2 with random weights (LayerNorms with gain and bias), and a byte-level tokenizer."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts, vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )
    fast.save_pretrained(directory)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=64, n_embd=D_MODEL, n_layer=3, n_head=4,
        initializer_range=0.2, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    for name, weight in model.named_parameters():
        if ".ln_" in name:
            torch.nn.init.normal_(weight, 1.0 if name.endswith("weight") else 0.0, 0.2)
    model.save_pretrained(directory)


def write_adapter(model: Path, directory: Path) -> None:
    """A LoRA adapter that changes what the model computes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2LMHeadModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(
            GPT2LMHeadModel.from_pretrained(model),
            LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False),
        )
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, 0.0, 0.1)
    adapted.save_pretrained(directory)


def write_sae(directory: Path) -> None:
    """A JumpReLU SAE of SAELens, tied at the start as its trainers do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import JumpReLUSAE, JumpReLUSAEConfig
        from sae_lens.saes.sae import SAEMetadata
    import torch

    torch.manual_seed(2)
    metadata = SAEMetadata(hook_name="blocks.1.hook_resid_post", prepend_bos=True)
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=D_MODEL, d_sae=D_SAE, metadata=metadata))
    directions = torch.nn.functional.normalize(torch.randn(D_SAE, D_MODEL), dim=1)
    sae.W_dec.data, sae.W_enc.data = directions, directions.T.contiguous()
    sae.threshold.data = torch.full((D_SAE,), 1.5)
    sae.save_model(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

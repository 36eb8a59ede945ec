"""One model, one SAE and one set of tokens, in the files that every program of the comparison reads.

A GPT-2 with random weights in Hugging Face's directory, a ReLU SAE with random directions in SAELens's, and
lists of tokens drawn by frequency, as npy and Parquet. The SAE's biases are set from a sample so that its
features fire as those of trained ones do: about as many a token as asked, a few of them often, most rarely.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.make_store import frequencies

if TYPE_CHECKING:
    from torch import Tensor

NAME = "side"
CONFIG, SHAPE, TOKENS, SAE = f"{NAME}.toml", "shape.json", "tokens.npy", "sae"
MODEL = "gpt2"
"""TransformerLens takes only names that it knows, but then a directory of that name where there is one."""
DATA = f"data/precomputed_{NAME}"
"""Where Lightwell's artifacts lie; all names are relative to the directory of the comparison."""
SPECIAL = "<s>"
"""The one special token, id 0; it is in no text."""
SAMPLE_ROWS = 16_384
"""Tokens by which biases are set."""
OFTEN = 0.5
"""Share of the tokens on which the most frequent feature fires."""


@dataclass(frozen=True)
class Shape:
    """How large everything is."""

    n_tokens: int = 262_144
    n_ctx: int = 128
    """Tokens of an example. There is no BOS: every token is a row for every program."""
    d_model: int = 256
    n_layers: int = 4
    layer: int = 2
    """The SAE reads the residual stream after this block."""
    d_vocab: int = 8_192
    d_sae: int = 2_048
    l0: float = 48.0
    """Features that fire on a token, on average, as aimed at; what came of it is measured."""

    @property
    def n_examples(self) -> int:
        """Whole examples."""
        return self.n_tokens // self.n_ctx

    @property
    def hook_name(self) -> str:
        """The SAE's site."""
        return f"blocks.{self.layer}.hook_resid_post"


def make(root: Path, shape: Shape) -> None:
    """Write everything below `root`; what is there of the same shape is kept."""
    record = json.dumps(asdict(shape), indent=1) + "\n"
    if (root / SHAPE).is_file() and (root / SHAPE).read_text() == record:
        return
    root.mkdir(parents=True, exist_ok=True)
    tokens = drawn_tokens(shape)
    np.save(root / TOKENS, tokens)
    listed = pl.DataFrame({"tokens": tokens.tolist()}, schema={"tokens": pl.List(pl.Int32)})
    listed.write_parquet(root / "tokens.parquet")
    write_tokenizer(root / MODEL, shape)
    write_sae(root / SAE, shape, rows_of(write_model(root / MODEL, shape), tokens, shape))
    write_config(root / CONFIG, shape)
    (root / SHAPE).write_text(record)


def shape_of(root: Path) -> Shape:
    """What was made there."""
    return replace(Shape(), **json.loads((root / SHAPE).read_text()))


def drawn_tokens(shape: Shape) -> NDArray[np.int64]:
    """Tokens drawn by frequency, never the special one; int64 [n_examples, n_ctx]."""
    draw = np.random.default_rng(0)
    drawn = draw.choice(shape.d_vocab - 1, (shape.n_examples, shape.n_ctx), p=frequencies(shape.d_vocab - 1))
    return drawn.astype(np.int64) + 1


def write_tokenizer(directory: Path, shape: Shape) -> None:
    """A word for each token. Its configuration is written by hand: each transformers has its own class."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {SPECIAL: 0} | {f"w{number}": number for number in range(1, shape.d_vocab)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    directory.mkdir(parents=True, exist_ok=True)
    words.save(str(directory / "tokenizer.json"))
    roles = {f"{role}_token": SPECIAL for role in ("bos", "eos", "pad", "unk")}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.n_ctx, **roles}
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def write_model(directory: Path, shape: Shape) -> Any:
    """A GPT-2 with random weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=shape.d_vocab,
        n_positions=shape.n_ctx,
        n_embd=shape.d_model,
        n_layer=shape.n_layers,
        n_head=shape.d_model // 64,
        initializer_range=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(directory)
    path = directory / "config.json"
    # TransformerLens reads the length of the context where the first GPT-2 had it.
    path.write_text(json.dumps({**json.loads(path.read_text()), "n_ctx": shape.n_ctx}, indent=1))
    return model


def rows_of(model: Any, tokens: NDArray[np.int64], shape: Shape) -> Tensor:
    """What the SAE reads on a sample; float32 [n_rows, d_model]."""
    import torch

    seen: list[Any] = []
    # By a hook, since the last of the model's `hidden_states` is what comes out of the final norm.
    block = model.transformer.h[shape.layer]
    handle = block.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.inference_mode():
        model.transformer(input_ids=torch.from_numpy(tokens[: SAMPLE_ROWS // shape.n_ctx]), use_cache=False)
    handle.remove()
    at_site: Tensor = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    return at_site.reshape(-1, shape.d_model)


def write_sae(directory: Path, shape: Shape, rows: Tensor) -> None:
    """Random unit directions that sum to 0, so that centring the model's weights changes nothing."""
    import torch
    from safetensors.torch import save_file

    drawn = torch.randn(shape.d_sae, shape.d_model, generator=torch.Generator().manual_seed(1))
    directions = torch.nn.functional.normalize(drawn - drawn.mean(dim=1, keepdim=True), dim=1)
    arrays = {
        "W_enc": directions.T.contiguous(),
        "W_dec": directions,
        "b_enc": -thresholds(rows @ directions.T, shape),
        "b_dec": torch.zeros(shape.d_model),
    }
    config = {
        "architecture": "standard",
        "d_in": shape.d_model,
        "d_sae": shape.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": MODEL,
            "hook_name": shape.hook_name,
            "hook_head_index": None,
            "context_size": shape.n_ctx,
            "prepend_bos": False,
        },
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file(arrays, directory / "sae_weights.safetensors")
    (directory / "cfg.json").write_text(json.dumps(config, indent=1))


def thresholds(products: Tensor, shape: Shape) -> Tensor:
    """Above which each feature fires as often as it should on the sample; float32 [d_sae]."""
    import torch

    share = np.minimum(OFTEN, frequencies(shape.d_sae) * shape.l0)
    place = ((1 - share) * (len(products) - 1)).astype(np.int64)
    feature_at = np.random.default_rng(2).permutation(shape.d_sae)
    ordered = products.sort(dim=0).values
    return ordered[torch.from_numpy(place[feature_at]), torch.arange(shape.d_sae)].contiguous()


def write_config(path: Path, shape: Shape) -> None:
    """The model type, as a person would write it."""
    path.write_text(
        f'[model_types.{NAME}]\nmodel = "{MODEL}"\nsae = "{SAE}"\nstorage = "npy"\n'
        f'[model_types.{NAME}.corpus]\npath = "tokens.parquet"\ntokens_column = "tokens"\n'
        f"n_ctx = {shape.n_ctx}\n"
    )

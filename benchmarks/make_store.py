"""A model type of any size, to measure on: `python -m benchmarks.make_store DIR --rows 10000000`.

Texts of made words, a language model of one block with random weights and 50,257 tokens, an SAE with random
directions, and, in place of what model and SAE would say, random activations: feature frequencies after
Zipf and Mandelbrot, log-normal values, each feature at a scale of its own. Everything else is then computed
from them by the steps themselves: `python -m precompute.unified --config DIR/made.toml --model-type made`.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from precompute.artifacts.manifest import Manifest, describe_files
from precompute.command_line import CommandParser, run_command
from precompute.features.activations import row_shard
from precompute.models.encoding import EncodedRows
from precompute.pipeline.plan import Plan
from precompute.pipeline.registry import steps
from precompute.pipeline.runner import Runner
from precompute.pipeline.subjects import Subject, open_subject
from precompute.pipeline.terminal import TerminalReporter
from precompute.settings import Operations
from precompute.stores.arrays import BACKENDS
from precompute.stores.layout import EXAMPLES_PER_SHARD
from precompute.stores.row_store import RowStoreWriter

NAME, BOS = "made", "<s>"
CONFIG = f"{NAME}.toml"
SHIFT = 10
"""Of Zipf and Mandelbrot: the most frequent feature fires on about half of the rows, as dense ones do."""
TEXTS_PER_PART = 4096


@dataclass(frozen=True)
class Shape:
    """How large everything is."""

    n_rows: int = 10_000_000
    l0: float = 50.0
    """Features that fire on a row, on average."""
    d_sae: int = 24_576
    d_model: int = 768
    d_vocab: int = 50_257
    n_ctx: int = 75
    """Tokens of an example, BOS included; a text is one example."""
    backend: str = "npy"

    @property
    def n_texts(self) -> int:
        """Texts, each of one example."""
        return -(-self.n_rows // (self.n_ctx - 1))


def frequencies(n: int) -> NDArray[np.float64]:
    """Probabilities after Zipf and Mandelbrot, most frequent first; float64 [n]."""
    weights = 1.0 / (np.arange(n, dtype=np.float64) + SHIFT)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def draws_for(probabilities: NDArray[np.float64], l0: float) -> int:
    """So many draws give `l0` distinct features on average."""
    low, high = 1, 64 * int(np.ceil(l0))
    while low < high:
        middle = (low + high) // 2
        if (1 - (1 - probabilities) ** middle).sum() < l0:
            low = middle + 1
        else:
            high = middle
    return low


# What a person would bring.


def write_texts(path: Path, shape: Shape) -> None:
    """Words drawn by frequency; the same for the same shape."""
    draw = np.random.default_rng(0)
    cumulative = np.cumsum(frequencies(shape.d_vocab - 1))
    words = np.array([f"w{number}" for number in range(shape.d_vocab - 1)], dtype=object)
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, shape.n_texts, TEXTS_PER_PART):
            n = min(TEXTS_PER_PART, shape.n_texts - first)
            drawn = np.searchsorted(cumulative / cumulative[-1], draw.random((n, shape.n_ctx - 1)))
            file.writelines(json.dumps({"text": " ".join(words[row])}) + "\n" for row in drawn)


def write_language_model(directory: Path, shape: Shape) -> None:
    """GPT-2 of one block, and a tokenizer with a token for each word."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    vocabulary = {BOS: 0} | {f"w{number}": number + 1 for number in range(shape.d_vocab - 1)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=BOS))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token=BOS).save_pretrained(directory)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=shape.d_vocab,
        n_embd=shape.d_model,
        n_layer=1,
        n_head=12,
        n_positions=128,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(directory)


def write_sae(directory: Path, shape: Shape) -> None:
    """TopK with random unit directions, in float16."""
    import torch

    from precompute.models.sae.header import SAEHeader
    from precompute.models.sae.lightwell_format import save

    directions = torch.nn.functional.normalize(
        torch.randn(shape.d_sae, shape.d_model, generator=torch.Generator().manual_seed(0)), dim=1
    )
    header = SAEHeader(
        format="lightwell",
        architecture="topk",
        d_in=shape.d_model,
        d_sae=shape.d_sae,
        hook_name="blocks.0.hook_resid_post",
        prepend_bos=True,
        k=round(shape.l0),
    )
    zeros = {"b_enc": torch.zeros(shape.d_sae), "b_dec": torch.zeros(shape.d_model)}
    save(directory, header, {"W_enc": directions.T, "W_dec": directions, **zeros}, "float16")


def write_config(path: Path, shape: Shape) -> None:
    path.write_text(
        f'[model_types.{NAME}]\nmodel = "lm"\nsae = "sae"\nstorage = "{shape.backend}"\n'
        f'[model_types.{NAME}.corpus]\npath = "texts.jsonl"\nn_ctx = {shape.n_ctx}\n'
    )


# What model and SAE would say.


def made_rows(number: int, lengths: NDArray[np.int64], shape: Shape) -> EncodedRows:
    """Random activations of a shard whose examples have so many tokens, BOS included."""
    draw = np.random.default_rng([1, number])
    probabilities = frequencies(shape.d_sae)
    feature_at = np.random.default_rng(2).permutation(shape.d_sae)
    scale = np.random.default_rng(3).lognormal(0.0, 0.7, shape.d_sae)
    cumulative = np.cumsum(probabilities)
    n_rows = int((lengths - 1).sum())
    drawn = draw.random((n_rows, draws_for(probabilities, shape.l0)))
    features = np.sort(feature_at[np.searchsorted(cumulative / cumulative[-1], drawn)], axis=1)
    kept = np.ones(features.shape, dtype=bool)
    np.not_equal(features[:, 1:], features[:, :-1], out=kept[:, 1:])
    features = features[kept]
    acts = draw.lognormal(0.0, 0.8, len(features)) * scale[features]
    return EncodedRows(
        position=np.concatenate([np.arange(1, length) for length in lengths]),
        example=np.repeat(np.arange(len(lengths)), lengths - 1),
        counts=kept.sum(axis=1),
        features=features,
        acts=acts.astype(np.float32),
        examples=np.arange(len(lengths)),
        example_means=draw.normal(size=(len(lengths), shape.d_model)).astype(np.float32),
        unit_effect=np.array([float(n_rows), float(n_rows)]),
    )


def write_shard(number: int, windows: Path, root: Path, shape: Shape) -> None:
    """Write one shard, of the examples that the table of windows has at its place."""
    at = slice(number * EXAMPLES_PER_SHARD, (number + 1) * EXAMPLES_PER_SHARD)
    token_ids = pl.scan_parquet(windows).select("token_ids")[at].collect()["token_ids"]
    lengths = token_ids.list.len().to_numpy().astype(np.int64)
    shard = row_shard(
        made_rows(number, lengths, shape),
        token_ids=token_ids.explode(empty_as_null=False).to_numpy(),
        example_indptr=np.concatenate([[0], np.cumsum(lengths)]),
        first_example=number * EXAMPLES_PER_SHARD,
        d_sae=shape.d_sae,
        acts_dtype="float32",
        listed=range(shape.d_sae),
    )
    _writer(root, shape).write_shard(number, shard)


def _writer(root: Path, shape: Shape) -> RowStoreWriter:
    return RowStoreWriter(root, shape.backend, shape.d_sae, shape.d_model)


def publish_activations(subject: Subject, shape: Shape, workers: int) -> None:
    """Publish made activations in the place of those that the step would compute."""
    plan, step = Plan(subject), steps()["activations"]
    staging = subject.shelf.stage(step.name, plan.expected(step.name), resumable=False)
    windows, root = subject.directory / "windows.parquet", staging / "activations"
    n_examples = pl.scan_parquet(windows).select(pl.len()).collect().item()
    n_shards = -(-n_examples // EXAMPLES_PER_SHARD)
    write = partial(write_shard, windows=windows.resolve(), root=root, shape=shape)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for _ in tqdm(pool.map(write, range(n_shards)), total=n_shards, desc="activations", unit=" shards"):
            pass
    _writer(root, shape).finish(n_shards)
    manifest = Manifest(
        step=step.name,
        version=step.version,
        fingerprint=plan.expected(step.name),
        settings=plan.settings_of(step),
        inputs=plan.inputs_now(step),
        sources=plan.sources_of(step),
        files=describe_files(staging),
        not_applicable=None,
    )
    subject.shelf.publish(staging, manifest, step.outputs)


def make(root: Path, shape: Shape, workers: int) -> Subject:
    """The model type with its corpus and its activations."""
    root.mkdir(parents=True, exist_ok=True)
    write_texts(root / "texts.jsonl", shape)
    write_language_model(root / "lm", shape)
    write_sae(root / "sae", shape)
    write_config(root / CONFIG, shape)
    subject = open_subject(NAME, root / "data", root / CONFIG)
    Runner(subject, Operations(workers=workers), TerminalReporter(("corpus",))).run(["corpus"])
    publish_activations(subject, shape, workers)
    return subject


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.make_store", description=__doc__)
    defaults: dict[str, Any] = {name: field.default for name, field in Shape.__dataclass_fields__.items()}
    parser.add_argument("dir", type=Path, help="where it is written; everything that is measured lies below")
    parser.add_argument("--rows", type=int, default=defaults["n_rows"])
    parser.add_argument("--l0", type=float, default=defaults["l0"], help="features that fire on a row")
    parser.add_argument("--features", type=int, default=defaults["d_sae"])
    parser.add_argument("--width", type=int, default=defaults["d_model"], help="of the model")
    parser.add_argument("--vocabulary", type=int, default=defaults["d_vocab"], help="tokens")
    parser.add_argument("--backend", choices=sorted(BACKENDS), default="npy")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(argv)
    shape = Shape(
        n_rows=chosen.rows,
        l0=chosen.l0,
        d_sae=chosen.features,
        d_model=chosen.width,
        d_vocab=chosen.vocabulary,
        backend=chosen.backend,
    )
    subject = make(chosen.dir, shape, chosen.workers)
    place = f"--config {chosen.dir / CONFIG} --data-dir {chosen.dir / 'data'}"
    print(f"{subject.directory}: serve it with python -m dashboard {NAME} {place}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

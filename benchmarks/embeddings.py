"""How fast embedding is: `python -m benchmarks.embeddings`.

Texts a second against sentence-transformers' `encode` (optional: `pip install -c constraints.txt
sentence-transformers`) on the same model and texts, in turns, in one process; a set from its cache against
encoding it on the fly; and opening 500,000 x 1,024 vectors. The texts are the documentation on this machine.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from precompute.artifacts.manifest import Manifest, describe_files
from precompute.command_line import CommandParser, run_command
from precompute.embeddings.compute import compute
from precompute.embeddings.datasets import Dataset
from precompute.embeddings.embedding_set import (
    INFO,
    METADATA,
    OUTPUTS,
    STEP,
    VECTORS,
    EmbeddingSet,
    SetSettings,
)
from precompute.embeddings.encoder import TextEncoder
from precompute.embeddings.model_directory import DEFAULT_MODEL
from precompute.embeddings.operations import Operations

BASE = DEFAULT_MODEL.with_name("language_model")
BERT = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
"""The shape of a common small sentence encoder; its speed does not depend on its weights."""
LARGE = (500_000, 1_024)


@dataclass(frozen=True)
class Timed:
    """Seconds of one call."""

    wall: float
    cpu: float


def timed(call: Callable[[], Any]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Timed]]:
    """Each call once a round, so that other work on the machine slows all of them alike."""
    times: dict[str, list[Timed]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(timed(call))
    return times


def make_bert(directory: Path, texts: list[str]) -> Path:
    """A sentence encoder with random weights, and a tokenizer of these texts."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    directory.mkdir()
    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(texts, vocab_size=8_000, show_progress=False)
    trained.save_model(str(directory))
    tokenizer = BertTokenizerFast(vocab=str(directory / "vocab.txt"), model_max_length=512)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **BERT)).save_pretrained(directory)
    return directory


def theirs(directory: Path, max_length: int) -> Any:
    """sentence-transformers' model of the directory, with mean pooling and normalisation."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    # By itself it takes the type that the weights are stored in, and half precision is slow on a CPU.
    kept = {"dtype": torch.float32}
    transformer = Transformer(str(directory), model_kwargs=kept, max_seq_length=max_length)
    width = transformer.get_embedding_dimension()
    return SentenceTransformer(modules=[transformer, Pooling(width, "mean"), Normalize()], device="cpu")


def against_sentence_transformers(directory: Path, texts: list[str], max_length: int, rounds: int) -> None:
    own, other = (
        TextEncoder.load(directory, max_length=max_length, device="cpu"),
        theirs(directory, max_length),
    )
    found, expected = own.encode(texts[:50]), other.encode(texts[:50])
    agree = float(np.einsum("ij,ij->i", found, expected).min())
    calls = {
        "ours": lambda: own.encode(texts),
        "theirs": lambda: other.encode(texts, show_progress_bar=False),
    }
    times = in_turns(calls, rounds)
    lengths = own.tokenizer(texts).lengths
    print(f"\n{directory.name}: {len(texts)} texts of {lengths.min()} to {lengths.max()} tokens, mean "
          f"{lengths.mean():.0f}; least cosine of the two's vectors {agree:.6f}")  # fmt: skip
    for name, own_times in times.items():
        wall, cpu = (statistics.median(getattr(t, kind) for t in own_times) for kind in ("wall", "cpu"))
        print(
            f"  {name:<7s}{len(texts) / wall:9.1f} texts/s, {1000 * cpu / len(texts):7.2f} ms of CPU a text"
        )
    pairs = list(zip(times["ours"], times["theirs"], strict=True))
    wall, cpu = (
        statistics.median(getattr(b, kind) / getattr(a, kind) for a, b in pairs) for kind in ("wall", "cpu")
    )
    print(f"  ours is {wall:.2f} times as fast ({cpu:.2f} by CPU time), median of {rounds} rounds")


def from_cache(model: Path, texts: Path, sizes: list[str]) -> None:
    print("\nsize     texts   on the fly   from cache (all vectors read)   opened (10 rows with texts)")
    settings = SetSettings(dataset=str(texts))
    for size in sizes:
        data = Path(tempfile.mkdtemp())
        computed = timed(lambda: compute(str(model), [size], settings, Operations(), data))  # noqa: B023
        embedded = EmbeddingSet(str(model), size, data)
        read = timed(lambda: np.array(EmbeddingSet(str(model), size, data).vectors).sum())  # noqa: B023
        opened = timed(lambda: first_look(EmbeddingSet(str(model), size, data)))  # noqa: B023
        print(
            f"{size:<8s}{len(embedded):6d}{computed.wall:11.2f} s{1000 * read.wall:16.1f} ms"
            f"{1000 * opened.wall:28.1f} ms"
        )
        shutil.rmtree(data)


def first_look(embedded: EmbeddingSet) -> None:
    np.asarray(embedded.vectors[:10])
    embedded.rows(range(10))


def open_large(data: Path) -> None:
    """A set of zeros: what opening reads does not depend on the values."""
    n, d = LARGE
    embedded = EmbeddingSet("large", "full", data)
    staging = embedded.shelf.stage(STEP, "0" * 64, resumable=False)
    np.lib.format.open_memmap(staging / VECTORS, mode="w+", dtype=np.float16, shape=LARGE).flush()
    rows = pl.DataFrame(
        {"row": pl.Series(range(n), dtype=pl.UInt32), "text": [f"text {i}" for i in range(n)]}
    )
    rows.write_parquet(staging / METADATA, row_group_size=4096)
    (staging / INFO).write_text("{}")
    manifest = Manifest(
        step=STEP,
        version=1,
        fingerprint="0" * 64,
        settings={},
        inputs={},
        sources={},
        files=describe_files(staging),
    )
    embedded.shelf.publish(staging, manifest, OUTPUTS)
    first_look(EmbeddingSet("large", "full", data))
    opened = [timed(lambda: first_look(EmbeddingSet("large", "full", data))).wall for _ in range(9)]
    print(
        f"\n{n:,} x {d:,} float16: opened, 10 vectors and texts read, in "
        f"{1000 * statistics.median(opened):.1f} ms"
    )


def main(argv: list[str]) -> int:
    options = CommandParser(prog="python -m benchmarks.embeddings", description=__doc__)
    options.add_argument("--texts", type=int, default=1_000)
    options.add_argument("--max-length", type=int, default=256)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--sizes", default="toy,tiny,small", help="sizes to compute on the fly")
    options.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="where the documentation is kept"
    )
    chosen = options.parse_args(argv)
    import torch

    torch.set_num_threads(chosen.threads)
    table = Dataset(data_dir=chosen.data_dir).read("full")
    texts = table["text"].unique(maintain_order=True).head(chosen.texts).to_list()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for model in (BASE, make_bert(Path(scratch) / "bert_384x6", texts)):
                against_sentence_transformers(model, texts, chosen.max_length, chosen.rounds)
        except ImportError:
            print(
                "sentence-transformers is not installed: pip install -c constraints.txt sentence-transformers"
            )
        path = Path(scratch) / "texts.parquet"
        table.select("text").write_parquet(path)
        from_cache(DEFAULT_MODEL, path, chosen.sizes.split(","))
        open_large(Path(scratch) / "data")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

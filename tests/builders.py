"""Small random subjects for tests: a corpus of random tokens, and what a random SAE would say of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from precompute.config import CorpusConfig, ModelType
from precompute.executors.local import Threads
from precompute.pipeline.step import StepContext
from precompute.progress import Silent
from precompute.settings import Operations, Settings
from precompute.stores.feature_store import (
    FeatureBlock,
    FeatureStore,
    FeatureStoreWriter,
    block_features,
    n_blocks,
    row_dtype,
)
from precompute.stores.layout import EXAMPLES_PER_SHARD, feature_dtype
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStore, RowStoreWriter

BOS = 0
"""Token id of the one special token."""
SILENT, DENSE, CONSTANT, TIED = 0, 1, 2, 3
"""Features that fire nowhere, on every row, always with 1.5, and with quarters only."""


@dataclass(frozen=True)
class Window:
    """One example: a chunk of a text, BOS first."""

    text_index: int
    chunk: int
    start: int
    token_ids: list[int]


@dataclass(frozen=True)
class RandomCorpus:
    """Texts as token ids, and the windows that they are cut into; the same seed gives the same corpus."""

    n_examples: int
    d_vocab: int
    n_ctx: int
    texts: list[list[int]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    @property
    def tokens(self) -> list[str]:
        """Every token of the vocabulary as it is decoded."""
        return ["<s>", *(f" w{i}" if i % 3 else f"x{i}" for i in range(1, self.d_vocab))]

    def text(self, index: int) -> str:
        return "".join(self.tokens[i] for i in self.texts[index])

    def text_id(self, index: int) -> str:
        return hashlib.sha256(self.text(index).encode()).hexdigest()[:32]

    def duplicate_of(self) -> list[int]:
        """For each text the first one that is equal to it."""
        first: dict[str, int] = {}
        return [first.setdefault(self.text(i), i) for i in range(len(self.texts))]

    def write_tables(self, root: Path) -> None:
        """Write corpus.parquet, windows.parquet, vocabulary.parquet and corpus.json, as step corpus does."""
        self._corpus_table().write_parquet(root / "corpus.parquet")
        self._windows_table().write_parquet(root / "windows.parquet")
        vocabulary = {
            "token_id": pl.Series(range(self.d_vocab), dtype=pl.UInt32),
            "token": self.tokens,
            "is_special": [i == BOS for i in range(self.d_vocab)],
        }
        pl.DataFrame(vocabulary).write_parquet(root / "vocabulary.parquet")
        record = {
            "n_texts": len(self.texts),
            "n_examples": self.n_examples,
            "held_out": False,
            "prepend_bos": True,
            "n_ctx": self.n_ctx,
            "n_tokens": sum(len(w.token_ids) for w in self.windows),
        }
        (root / "corpus.json").write_text(json.dumps(record))

    def _corpus_table(self) -> pl.DataFrame:
        n = len(self.texts)
        return pl.DataFrame(
            {
                "text_index": pl.Series(range(n), dtype=pl.UInt32),
                "text_id": [self.text_id(i) for i in range(n)],
                "text": [self.text(i) for i in range(n)],
                "n_tokens": pl.Series([len(t) for t in self.texts], dtype=pl.UInt32),
                "duplicate_of": pl.Series(self.duplicate_of(), dtype=pl.UInt32),
                "package": [f"package{i % 3}" for i in range(n)],
            }
        )

    def _windows_table(self) -> pl.DataFrame:
        windows = self.windows
        return pl.DataFrame(
            {
                "example": pl.Series(range(len(windows)), dtype=pl.UInt32),
                "text_index": pl.Series([w.text_index for w in windows], dtype=pl.UInt32),
                "text_id": [self.text_id(w.text_index) for w in windows],
                "chunk": pl.Series([w.chunk for w in windows], dtype=pl.UInt32),
                "start": pl.Series([w.start for w in windows], dtype=pl.UInt32),
                "n_special": pl.Series([1] * len(windows), dtype=pl.UInt32),
                "token_ids": pl.Series([w.token_ids for w in windows], dtype=pl.List(pl.Int32)),
            }
        )


def random_corpus(n_examples: int = 40, d_vocab: int = 30, n_ctx: int = 8, seed: int = 0) -> RandomCorpus:
    """Texts of 1 to 3 windows, the second one empty, every fifth a copy of an earlier one."""
    rng = np.random.default_rng(seed)
    corpus = RandomCorpus(n_examples, d_vocab, n_ctx)
    body = n_ctx - 1
    while len(corpus.windows) < n_examples:
        index = len(corpus.texts)
        text = rng.integers(1, d_vocab, rng.integers(1, 3 * body)).tolist() if index != 1 else []
        if index % 5 == 4:
            text = list(corpus.texts[int(rng.integers(0, index))])
        text = text[: body * (n_examples - len(corpus.windows))]
        corpus.texts.append(text)
        for chunk, start in enumerate(range(0, max(1, len(text)), body)):
            corpus.windows.append(Window(index, chunk, start, [BOS, *text[start : start + body]]))
    return corpus


def random_row_store(
    path: Path,
    backend: str = "npy",
    n_examples: int = 40,
    d_sae: int = 24,
    d_in: int = 6,
    density: float = 0.15,
    seed: int = 0,
    *,
    examples_per_shard: int = EXAMPLES_PER_SHARD,
    acts_dtype: str = "float32",
    corpus: RandomCorpus | None = None,
) -> RowStore:
    """A row-major store of `random_corpus(n_examples, seed=seed)`, BOS not among its rows.

    Feature 0 is silent, 1 fires on every row, 2 is always 1.5, 3 takes quarters only; the others fire
    on a share of about `density` of the rows, with frequencies that differ. Equal windows get equal rows.
    """
    corpus = corpus or random_corpus(n_examples, seed=seed)
    writer = RowStoreWriter(path, backend, d_sae, d_in, acts_dtype)
    firsts = range(0, n_examples, examples_per_shard)
    for number, first in enumerate(firsts):
        windows = corpus.windows[first : first + examples_per_shard]
        writer.write_shard(number, _shard(windows, first, d_sae, d_in, density, acts_dtype))
    writer.finish(len(firsts))
    return RowStore(path)


def _shard(
    windows: Sequence[Window], first: int, d_sae: int, d_in: int, density: float, acts_dtype: str
) -> RowShard:
    dense = [_dense_acts(w, d_sae, density).astype(acts_dtype) for w in windows]
    acts = np.concatenate([np.zeros((0, d_sae), acts_dtype), *dense])
    rows, features = np.nonzero(acts)
    lengths = [len(w.token_ids) for w in windows]
    means = [_rng(w, "mean").normal(size=d_in) * (len(w.token_ids) > 1) for w in windows]
    values, features = acts[rows, features], features.astype(feature_dtype(d_sae))
    return RowShard(
        token_ids=np.concatenate([w.token_ids for w in windows]).astype(np.int32),
        example_indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        position=np.concatenate([np.arange(1, n) for n in lengths]).astype(np.int32),
        example=np.repeat(np.arange(first, first + len(windows)), np.array(lengths) - 1).astype(np.int32),
        indptr=np.concatenate([[0], np.cumsum((acts != 0).sum(axis=1))]).astype(np.int64),
        features=features,
        acts=values,
        example_means=np.array(means, dtype=np.float32).reshape(len(windows), d_in),
        inverse_sigma=np.array([0.5 * len(acts), len(acts)], dtype=np.float64),
        **feature_statistics(features, values, d_sae),
    )


def _dense_acts(window: Window, d_sae: int, density: float) -> np.ndarray:
    """float32 [n_tokens - 1, d_sae]: the activations of one window, zeros included."""
    n, rng = len(window.token_ids) - 1, _rng(window, "acts")
    share = np.minimum(1, density * 2 * np.linspace(0.02, 1, d_sae))
    acts = np.where(rng.random((n, d_sae)) < share, rng.gamma(2.0, 1.0, (n, d_sae)) + 1e-3, 0)
    acts[:, SILENT] = 0
    if d_sae > TIED:
        acts[:, DENSE] = rng.gamma(2.0, 1.0, n) + 1e-3
        acts[:, CONSTANT] = np.where(rng.random(n) < density, 1.5, 0)
        acts[:, TIED] = np.ceil(acts[:, TIED] * 4) / 4
    return acts.astype(np.float32)


def _rng(window: Window, purpose: str) -> np.random.Generator:
    content = repr((window.token_ids, window.chunk, purpose)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(content).digest()[:8], "big"))


def dense_matrix(store: RowStore) -> np.ndarray:
    """float64 [n_rows, d_sae]: all activations, zeros included; the oracle's view of a small store."""
    dense = np.zeros((store.n_rows, store.d_sae))
    for row in range(store.n_rows):
        features, acts = store.row(row)
        dense[row, features] = acts
    return dense


def naive_feature_store(source: RowStore, path: Path, backend: str = "npy") -> FeatureStore:
    """The feature-major store of a small row-major one, by way of the dense matrix."""
    dense = dense_matrix(source).astype(source.info.acts_dtype)
    writer = FeatureStoreWriter(path, backend)
    for number in range(n_blocks(source.d_sae)):
        features = block_features(number, source.d_sae)
        owners, rows = np.nonzero(dense[:, features.start : features.stop].T)
        counts = np.bincount(owners, minlength=len(features))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        acts = dense[rows, owners + features.start]
        writer.write_block(
            number, FeatureBlock(features.start, indptr, rows.astype(row_dtype(source.n_rows)), acts)
        )
    writer.finish(source.info)
    return FeatureStore(path)


MODEL_TYPE = ModelType(name="test", model="model", sae="sae", corpus=CorpusConfig(builtin=True))
"""A model type for steps that read neither a model nor an SAE."""


def step_context(
    out: Path,
    files: Mapping[str, Path],
    settings: Mapping[str, Any] | None = None,
    model_type: ModelType = MODEL_TYPE,
    **operations: Any,
) -> StepContext:
    """What the runner would give a step; keywords are operational settings, such as workers."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = Operations(**{"workers": 1, **operations})
    return StepContext(
        model_type,
        Settings(**(settings or {})),
        chosen,
        out,
        dict(files),
        Silent(),
        executor=Threads(chosen.workers),
    )


@dataclass(frozen=True)
class Subject:
    """A random corpus with its two stores and tables on disk."""

    root: Path
    corpus: RandomCorpus
    rows: RowStore
    features: FeatureStore

    @property
    def files(self) -> dict[str, Path]:
        """Where each input of a step lies; add to it what a step needs more."""
        names = ("corpus.parquet", "windows.parquet", "vocabulary.parquet", "corpus.json")
        return {name: self.root / name for name in (*names, "activations", "feature_major")}

    def context(self, out: Path, settings: Mapping[str, Any] | None = None, **operations: Any) -> StepContext:
        return step_context(out, self.files, settings, **operations)


def random_subject(
    root: Path,
    backend: str = "npy",
    n_examples: int = 40,
    d_sae: int = 24,
    seed: int = 0,
    *,
    d_vocab: int = 30,
    n_ctx: int = 8,
    **store: Any,
) -> Subject:
    """Everything that steps over the stores read, in `root`; `store` goes to random_row_store."""
    root.mkdir(parents=True, exist_ok=True)
    corpus = random_corpus(n_examples, d_vocab, n_ctx, seed)
    corpus.write_tables(root)
    rows = random_row_store(
        root / "activations", backend, n_examples, d_sae, seed=seed, corpus=corpus, **store
    )
    return Subject(root, corpus, rows, naive_feature_store(rows, root / "feature_major", backend))

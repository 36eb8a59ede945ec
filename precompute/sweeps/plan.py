"""What a sweep needs, by content: its texts, its text autoencoder, and where its caches and results lie."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from precompute.artifacts.digests import DigestCache
from precompute.artifacts.shelf import Shelf
from precompute.embeddings.datasets import Dataset, rows_digest
from precompute.errors import ModelError
from precompute.models.text_autoencoder.checkpoint import Checkpoint, read_checkpoint
from precompute.pipeline.stages import Stage
from precompute.pipeline.subjects import data_directory
from precompute.sweeps import sample_cache, score_shards, vector_cache
from precompute.sweeps.rows import PositionRule, RowPlan, ordered_texts, plan_rows
from precompute.sweeps.sample_cache import sample_identity
from precompute.sweeps.settings import SweepSettings
from precompute.sweeps.shard_files import ShardFiles
from precompute.sweeps.vector_cache import vector_identity

STEP = "best_of_k"
SUMMARY = "Best of K: curves with intervals, and every row's scores."
RUNS = "runs"
"""In the results' directory: one shelf for each name."""
VERSION = 1
"""Raised whenever the results change for the same inputs."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep as it should be. Making one reads the checkpoint; texts are read when they are asked for."""

    settings: SweepSettings
    checkpoint: Checkpoint
    data_dir: Path

    @staticmethod
    def of(settings: SweepSettings) -> SweepPlan:
        """Raises ModelError for a checkpoint that is not there, or not whole."""
        place = settings.machine.data_dir
        data_dir = data_directory(Path(place) if place else None)
        return SweepPlan(settings, read_checkpoint(settings.eval.checkpoint_path), data_dir)

    @cached_property
    def digests(self) -> DigestCache:
        """The digests of large files."""
        return DigestCache(self.data_dir / ".digests.json")

    @property
    def dataset(self) -> Dataset:
        """Where the texts come from."""
        data = self.settings.data
        path = Path(data.dataset).expanduser() if data.dataset else None
        return Dataset(path, data.text_column, self.data_dir)

    @cached_property
    def texts(self) -> pl.DataFrame:
        """The texts in their order: text_id, text."""
        return ordered_texts(self.dataset.read(), self.settings.data)

    @cached_property
    def corpus_digest(self) -> str:
        """Content digest of the texts in their order, all of them."""
        dataset = self.dataset
        dataset.check()
        dataset.ensure(self.settings.machine.workers or os.cpu_count() or 1)
        data = self.settings.data.model_dump(mode="json", exclude={"dataset"})
        key = f"sweep|{self.digests.digest(dataset.file)}|{dataset.path is None}|{json.dumps(data)}"
        return self.digests.remembered(key, lambda: rows_digest(self.texts))

    @cached_property
    def rows(self) -> RowPlan:
        """The activations that are used."""
        from precompute.models.language_model import load_tokenizer
        from precompute.models.tokenizing import text_encoder

        header, settings = self.checkpoint.header, self.settings.eval
        tokenizer = load_tokenizer(self.checkpoint.model, header.revision)
        bos = tokenizer.bos_token_id if header.prepend_bos else None
        if header.prepend_bos and bos is None:
            raise ModelError(
                "a tokenizer without a BOS token", "one", "set prepend_bos to false in config.json"
            )
        rule = PositionRule.of(settings)
        return plan_rows(self.texts, text_encoder(tokenizer), header.n_ctx, bos, rule, settings.limit)

    @cached_property
    def vectors(self) -> ShardFiles:
        """The cache of activations."""
        header = self.checkpoint.header
        identity = vector_identity(
            self.checkpoint.activation_identity(self.digests),
            self.corpus_digest,
            header.n_ctx,
            header.prepend_bos,
            PositionRule.of(self.settings.eval).identity(),
        )
        return self._files(vector_cache.KIND, vector_cache.VERSION, identity)

    @cached_property
    def samples(self) -> ShardFiles:
        """The cache of explanations."""
        settings = self.settings.eval
        autoencoder = self.checkpoint.identity(self.digests)
        vectors = {"fingerprint": self.vectors.fingerprint}
        identity = sample_identity(autoencoder, vectors, settings.temperature, settings.seed)
        return self._files(sample_cache.KIND, sample_cache.VERSION, identity)

    @cached_property
    def scores(self) -> ShardFiles:
        """The scores of the shards: what an interrupted sweep goes on from."""
        settings = self.settings.eval
        identity = {
            "samples": self.samples.fingerprint,
            "k_values": list(settings.k_values),
            "n_samples": settings.pool,
        }
        return self._files(score_shards.KIND, score_shards.VERSION, identity)

    @property
    def output_dir(self) -> Path:
        """Where people find results: links to what is published."""
        return self.data_dir / self.settings.eval.output_dir

    @property
    def shelf(self) -> Shelf:
        """Where the results of this name are published."""
        return Shelf(self.output_dir / RUNS / self.settings.eval.stem)

    @property
    def stage(self) -> Stage:
        """The results as an artifact."""
        return Stage(STEP, VERSION, SUMMARY, output_names(self.settings.eval.stem))

    @property
    def scientific(self) -> dict[str, Any]:
        """The settings that change the results."""
        settings = self.settings.eval
        names = ("k_values", "temperature", "num_positions", "min_pos", "position_selection_strategy", "seed")
        chosen = {name: value for name, value in settings.model_dump(mode="json").items() if name in names}
        bootstrap = settings.n_bootstrap if settings.do_bootstrap else None
        data = self.settings.data.model_dump(mode="json", exclude={"dataset"})
        return {
            **chosen,
            "n_samples": settings.pool,
            "max_examples": settings.limit,
            "do_bootstrap": settings.do_bootstrap,
            "n_bootstrap": bootstrap,
            "data": {"dataset": self.dataset.name, **data},
        }

    @property
    def sources(self) -> dict[str, str]:
        """What it reads, by content."""
        return {"vectors": self.vectors.fingerprint, "samples": self.samples.fingerprint}

    def _files(self, kind: str, version: int, identity: dict[str, Any]) -> ShardFiles:
        return ShardFiles(self.data_dir / self.settings.eval.cache_dir, kind, version, identity)


def output_names(stem: str) -> tuple[str, str, str]:
    """The files of results of that name."""
    return f"{stem}.json", f"{stem}.rows.parquet", f"{stem}.vocabulary.parquet"

"""Computing an embedding set: what is not there yet is encoded in shards, then all is put together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.artifacts.free_space import check_space
from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import fingerprint
from precompute.artifacts.shelf import SHORT
from precompute.embeddings.embedding_set import STEP, VECTORS, EmbeddingSet, SetSettings, sizes_there
from precompute.embeddings.encoder import TextEncoder
from precompute.embeddings.freshness import STEPS, VERSION, Freshness
from precompute.embeddings.gathered import Gathered
from precompute.embeddings.operations import Operations
from precompute.embeddings.publishing import described, metadata_of, publish
from precompute.embeddings.token_batches import TokenLists, longest_first
from precompute.embeddings.vector_shards import ShardDirectory, VectorShard, packed, text_keys
from precompute.errors import ArtifactMissingError, CorruptArtifactError, ModelError
from precompute.executors.ranks import Ranks
from precompute.npy import open_npy
from precompute.progress import Progress, Silent

PLAN = "plan"
"""Beside the shards: the tokens of the texts to encode, which all ranks read."""


@dataclass
class Outcome:
    """What a run did for one set."""

    size: str
    n_texts: int = 0
    n_distinct: int = 0
    n_encoded: int = 0
    """Distinct texts that went through the model."""
    n_resumed: int = 0
    """Distinct texts taken from shards that an interrupted run left."""
    was_fresh: bool = False
    seconds: float = 0.0

    @property
    def n_reused(self) -> int:
        """Distinct texts taken from published sets."""
        return self.n_distinct - self.n_encoded - self.n_resumed

    def in_words(self) -> str:
        """One line for people."""
        if self.was_fresh:
            return f"{self.size}: already fresh"
        return (
            f"{self.size}: {self.n_texts} texts, {self.n_distinct} distinct: {self.n_encoded} encoded, "
            f"{self.n_resumed} from finished shards, {self.n_reused} from other sets"
        )


class EncoderSource:
    """The encoder of a run, loaded when a first text needs it and kept for the next set."""

    def __init__(self, model: str, settings: SetSettings, device: str) -> None:
        self.model, self.settings, self.device = model, settings, device

    @cached_property
    def encoder(self) -> TextEncoder:
        """The loaded encoder."""
        return self.settings.load_encoder(self.model, self.device)


class SetJob:
    """The computation of one size of a dataset, by one process or several together."""

    def __init__(
        self,
        embedded: EmbeddingSet,
        settings: SetSettings,
        operations: Operations,
        *,
        source: EncoderSource,
        ranks: Ranks,
        progress: Progress,
    ) -> None:
        self.embedded, self.settings, self.operations = embedded, settings, operations
        self.source, self.ranks, self.progress = source, ranks, progress
        self.fresh = Freshness(embedded, settings)

    def run(self, force: bool = False) -> Outcome | None:
        """Bring the set up to date; the leading process returns what was done, the others None."""
        if not self.ranks.leads:
            self._follow()
            return None
        began, dataset = time.monotonic(), self.embedded.dataset(self.settings)
        # What is wrong with model or dataset is said before anything is written or read at length.
        _ = self.fresh.encoder
        dataset.check()
        dataset.ensure(self.operations.workers)
        with ArtifactLock(self.embedded.directory, STEP):
            self.embedded.keep_settings(self.settings)
            outcome = self._lead(force)
        outcome.seconds = time.monotonic() - began
        self.embedded.shelf.collect_garbage(STEPS)
        return outcome

    def _lead(self, force: bool) -> Outcome:
        if not force and self.fresh.status(STEP).state == "fresh":
            self.ranks.told(False)
            return Outcome(self.embedded.size, was_fresh=True)
        # The sets of an encoder share its shards, and are computed one after another.
        with ArtifactLock(self.embedded.root, self._shards.directory.name.lstrip(".")):
            outcome = self._compute(force)
            self._shards.remove()
        return outcome

    def _compute(self, force: bool) -> Outcome:
        table = self.embedded.dataset(self.settings).read(self.embedded.size)
        staging = self.embedded.shelf.stage(STEP, self.fresh.expected, resumable=False)
        gathered = Gathered(
            text_keys(table["text"].to_list()), staging / VECTORS, self.settings.vectors_dtype
        )
        outcome = Outcome(self.embedded.size, table.height, len(gathered.place))
        if not force:
            self._reuse(gathered)
            outcome.n_resumed = self._take_shards(gathered)
        self._encode_missing(table, gathered, outcome)
        self._publish(table, gathered, staging, outcome)
        return outcome

    @property
    def _shards(self) -> ShardDirectory:
        """The finished shards of this encoder; other encoders' are left alone."""
        name = fingerprint("shards", VERSION, {"dtype": self.settings.vectors_dtype}, self.fresh.encoder)
        return ShardDirectory(self.embedded.root / f".shards-{name[:SHORT]}")

    def _reuse(self, gathered: Gathered) -> None:
        """Take the vectors of published sets of this very encoder, this set's own among them."""
        given = self.embedded.given_data_dir
        for size in sizes_there(self.embedded.model, given):
            other = EmbeddingSet(self.embedded.model, size, given)
            try:
                manifest = other.manifest()
            except (CorruptArtifactError, ArtifactMissingError):
                continue
            same = manifest.sources.get("encoder") == self.fresh.encoder and manifest.version == VERSION
            if same and manifest.settings == self.fresh.chosen and not self.settings.imported:
                frame = other.metadata.select("text", "n_tokens", "is_cut").collect()
                keys = text_keys(frame["text"].to_list())
                gathered.add(keys, other.vectors, frame["n_tokens"].to_numpy(), frame["is_cut"].to_numpy())

    def _take_shards(self, gathered: Gathered) -> int:
        return sum(
            gathered.add(shard.names(), shard.vectors, shard.n_tokens, shard.is_cut)
            for shard in self._shards.shards()
        )

    def _encode_missing(self, table: pl.DataFrame, gathered: Gathered, outcome: Outcome) -> None:
        """Encode in shards what is known from nowhere, all ranks together, and take it."""
        missing = gathered.missing()
        outcome.n_encoded = len(missing)
        self.ranks.told(bool(missing))
        if not missing:
            return
        shutil.rmtree(self._shards.directory / PLAN, ignore_errors=True)
        plan = self._write_plan(table["text"].gather(missing).to_list())
        self.ranks.told(str(plan))
        self._encode_plan(plan)
        self._take_shards(gathered)
        if gathered.missing():
            raise ModelError("shards that are damaged", "those just written", "check the disk and run again")

    def _write_plan(self, texts: list[str]) -> Path:
        """Tokenise the texts, once, and lay them out longest first for all ranks."""
        tokens = self.source.encoder.tokenizer(texts)
        order = longest_first(tokens.lengths)
        tokens = tokens.chosen(order)
        self._check_space(len(texts))
        plan = self._shards.directory / PLAN
        plan.mkdir(parents=True)
        keys = packed(text_keys([texts[n] for n in order.tolist()]))
        arrays = {"ids": tokens.ids, "indptr": tokens.indptr, "is_cut": tokens.is_cut, "keys": keys}
        for name, array in arrays.items():
            np.save(plan / f"{name}.npy", array, allow_pickle=False)
        return plan

    def _check_space(self, n: int) -> None:
        """Vectors lie on the disk twice for a while: in shards, and put together."""
        width = self.source.encoder.d * np.dtype(self.settings.vectors_dtype).itemsize
        remedy = "free some space, or choose another --data-dir"
        check_space(self.embedded.root, 2 * n * width, f"{n:,} vectors", remedy)

    def _follow(self) -> None:
        """Encode this rank's shards of what the leading one planned."""
        if self.ranks.told(None):
            _ = self.source.encoder
            self._encode_plan(Path(self.ranks.told(None)))

    def _encode_plan(self, plan: Path) -> None:
        arrays = {name: open_npy(plan / f"{name}.npy") for name in ("ids", "indptr", "is_cut", "keys")}
        tokens = TokenLists(arrays["ids"], np.asarray(arrays["indptr"]), np.asarray(arrays["is_cut"]))
        size, ranks = self.operations.shard_texts, self.ranks
        shards = ranks.own(range(0, len(tokens), size))
        self.progress.start(sum(min(size, len(tokens) - first) for first in shards), "texts")
        for first in shards:
            part = tokens.part(first, min(len(tokens), first + size))
            self._write_shard(plan.parent, part, np.asarray(arrays["keys"][first : first + size]))
        ranks.wait()

    def _write_shard(self, directory: Path, part: TokenLists, keys: NDArray[np.uint8]) -> None:
        chosen = self.operations
        vectors = self.source.encoder.encode_tokens(
            part, chosen.token_budget, chosen.batch_size, self.progress.advance
        )
        kept = vectors.astype(self.settings.vectors_dtype)
        if not np.isfinite(kept).all():
            raise ModelError("vectors too long for float16", "--vectors-dtype float32", "choose that")
        shard = VectorShard(keys, kept, part.lengths.astype(np.int32), part.is_cut)
        ShardDirectory(directory).write(shard)

    def _publish(self, table: pl.DataFrame, gathered: Gathered, staging: Path, outcome: Outcome) -> None:
        info = {
            **described(self.fresh, *gathered.finish()),
            "n_distinct": outcome.n_distinct,
            "n_cut": int(gathered.is_cut.sum()),
        }
        publish(self.fresh, staging, metadata_of(table, gathered.n_tokens, gathered.is_cut), info)


def compute(
    model: str,
    sizes: list[str],
    settings: SetSettings,
    operations: Operations | None = None,
    data_dir: Path | str | None = None,
    *,
    force: bool = False,
    ranks: Ranks | None = None,
    progress: Callable[[str], Progress] = lambda _: Silent(),
) -> list[Outcome]:
    """Bring sets of a model up to date, in the order given; raises UsageError for what cannot be used.

    `progress` is asked for one for each size. Only the leading process returns outcomes.
    """
    operations, ranks = operations or Operations(), ranks or Ranks()
    source = EncoderSource(model, settings, ranks.device(operations.device))
    found = []
    for size in sizes:
        embedded = EmbeddingSet(model, size, data_dir)
        outcome = SetJob(
            embedded, settings, operations, source=source, ranks=ranks, progress=progress(size)
        ).run(force)
        if outcome is not None:
            found.append(outcome)
    return found

"""Computing an embedding set: what is not there yet is encoded in shards, then all is put together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import Manifest, describe_files, fingerprint
from precompute.artifacts.shelf import SHORT
from precompute.embeddings.embedding_set import (
    INFO,
    METADATA,
    OUTPUTS,
    STEP,
    VECTORS,
    EmbeddingSet,
    SetSettings,
    sizes_there,
)
from precompute.embeddings.encoder import TextEncoder
from precompute.embeddings.freshness import STEPS, VERSION, Freshness
from precompute.embeddings.ranks import Ranks
from precompute.embeddings.token_batches import TokenLists, longest_first
from precompute.embeddings.vector_shards import ShardDirectory, VectorShard, packed, text_keys
from precompute.errors import ArtifactMissingError, CorruptArtifactError, DiskSpaceError, ModelError
from precompute.progress import Progress, Silent

SHARD_TEXTS = 512
"""Texts of a shard: what a killed process loses at most."""
ROW_GROUP = 4096
"""Rows of metadata that are read together."""
PLAN = "plan"
"""Beside the shards: the tokens of the texts to encode, which all ranks read."""


@dataclass(frozen=True)
class Operations:
    """How a set is computed; nothing here changes a vector by more than rounding."""

    device: str = "auto"
    """auto, cpu or cuda."""
    batch_size: int | None = None
    """Texts in one batch; None leaves it to the token budget."""
    token_budget: int | None = None
    """Tokens in one batch, padding included; None is what suits the device."""
    shard_texts: int = SHARD_TEXTS
    """Texts of a shard."""
    workers: int = 1
    """Processes that read the documentation on this machine, the first time."""


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
        self._encoder: TextEncoder | None = None

    def get(self) -> TextEncoder:
        """The loaded encoder."""
        if self._encoder is None:
            chosen = self.settings
            self._encoder = TextEncoder.load(
                self.model,
                revision=chosen.revision,
                pooling=chosen.pooling,
                normalize=chosen.normalize,
                max_length=chosen.max_length,
                dtype=chosen.dtype,
                device=self.device,
                allow_legacy_weights=chosen.allow_legacy_weights,
            )
        return self._encoder


@dataclass
class Gathered:
    """Vectors of the distinct texts of a set, as far as they are known, in a file of the set's own type."""

    keys: list[bytes]
    """Of every row."""
    path: Path
    """The array [n_rows, d] that is being filled; made when the width is known."""
    dtype: str
    place: dict[bytes, list[int]] = field(init=False)
    """The rows of each distinct text."""
    n_tokens: NDArray[np.int32] = field(init=False)
    is_cut: NDArray[np.bool_] = field(init=False)
    known: set[bytes] = field(default_factory=set)
    _vectors: Any = None
    """The memory-mapped array."""

    def __post_init__(self) -> None:
        self.place = {}
        for row, key in enumerate(self.keys):
            self.place.setdefault(key, []).append(row)
        self.n_tokens = np.zeros(len(self.keys), dtype=np.int32)
        self.is_cut = np.zeros(len(self.keys), dtype=bool)

    def add(
        self, keys: list[bytes], vectors: NDArray[Any], n_tokens: NDArray[Any], is_cut: NDArray[Any]
    ) -> int:
        """Take the vectors of texts that are wanted and not known yet; returns how many these were."""
        chosen = [n for n, key in enumerate(keys) if key in self.place and key not in self.known]
        if not chosen:
            return 0
        if self._vectors is None:
            shape = (len(self.keys), vectors.shape[1])
            self._vectors = np.lib.format.open_memmap(self.path, mode="w+", dtype=self.dtype, shape=shape)
        source = np.array([n for n in chosen for _ in self.place[keys[n]]])
        target = np.array([row for n in chosen for row in self.place[keys[n]]])
        self._vectors[target] = vectors[source]
        self.n_tokens[target], self.is_cut[target] = n_tokens[source], is_cut[source]
        self.known.update(keys[n] for n in chosen)
        return len({keys[n] for n in chosen})

    def missing(self) -> list[int]:
        """The first row of each distinct text that is not known."""
        return [rows[0] for key, rows in self.place.items() if key not in self.known]

    def finish(self) -> tuple[int, int]:
        """Write what is in memory to the file; returns its shape."""
        self._vectors.flush()
        n, d = self._vectors.shape
        self._vectors = None
        return int(n), int(d)


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
        # What is wrong with model or dataset is said before anything is written or read at length.
        _ = self.fresh.encoder
        self.embedded.dataset(self.settings).check()
        with ArtifactLock(self.embedded.directory, STEP):
            self.embedded.keep_settings(self.settings)
            outcome = self._lead(force)
        self.embedded.shelf.collect_garbage(STEPS)
        return outcome

    def _lead(self, force: bool) -> Outcome:
        if not force and self.fresh.status(STEP).state == "fresh":
            self.ranks.told(False)
            return Outcome(self.embedded.size, was_fresh=True)
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
        self._shards.remove()
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
        tokens = self.source.get().tokenizer(texts)
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
        needed = 2 * n * self.source.get().d * np.dtype(self.settings.vectors_dtype).itemsize
        free = shutil.disk_usage(self.embedded.root).free
        if free < needed:
            raise DiskSpaceError(
                f"{free / 1e6:,.0f} MB free at {self.embedded.root}",
                f"about {needed / 1e6:,.0f} MB for {n:,} vectors",
                "free some space, or choose another --data-dir",
            )

    def _follow(self) -> None:
        """Encode this rank's shards of what the leading one planned."""
        if self.ranks.told(None):
            self.source.get()
            self._encode_plan(Path(self.ranks.told(None)))

    def _encode_plan(self, plan: Path) -> None:
        arrays = {
            name: np.load(plan / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("ids", "indptr", "is_cut", "keys")
        }
        tokens = TokenLists(arrays["ids"], np.asarray(arrays["indptr"]), np.asarray(arrays["is_cut"]))
        size, ranks = self.operations.shard_texts, self.ranks
        shards = range(0, len(tokens), size)[ranks.rank :: ranks.world_size]
        self.progress.start(sum(min(size, len(tokens) - first) for first in shards), "texts")
        for first in shards:
            part = tokens.part(first, min(len(tokens), first + size))
            self._write_shard(plan.parent, part, np.asarray(arrays["keys"][first : first + size]))
        ranks.wait()

    def _write_shard(self, directory: Path, part: TokenLists, keys: NDArray[np.uint8]) -> None:
        chosen = self.operations
        vectors = self.source.get().encode_tokens(
            part, chosen.token_budget, chosen.batch_size, self.progress.advance
        )
        kept = vectors.astype(self.settings.vectors_dtype)
        if not np.isfinite(kept).all():
            raise ModelError("vectors too long for float16", "--vectors-dtype float32", "choose that")
        shard = VectorShard(keys, kept, part.lengths.astype(np.int32), part.is_cut)
        ShardDirectory(directory).write(shard)

    def _publish(self, table: pl.DataFrame, gathered: Gathered, staging: Path, outcome: Outcome) -> None:
        n, d = gathered.finish()
        metadata_of(table, gathered.n_tokens, gathered.is_cut).write_parquet(
            staging / METADATA, compression="zstd", row_group_size=ROW_GROUP
        )
        info = self._info(gathered, n, d) | {"n_distinct": outcome.n_distinct}
        write_info(staging, info)
        publish(self.fresh, staging)

    def _info(self, gathered: Gathered, n: int, d: int) -> dict[str, Any]:
        return {
            **described(self.embedded, self.settings, n, d),
            "n_cut": int(gathered.is_cut.sum()),
        }


def described(embedded: EmbeddingSet, settings: SetSettings, n: int, d: int) -> dict[str, Any]:
    """What info.json says of a set, but for its counts."""
    fresh = Freshness(embedded, settings)
    return {
        "n": n,
        "d": d,
        "dtype": settings.vectors_dtype,
        "model": Path(embedded.model).name,
        "encoder": fingerprint("encoder", 1, {}, fresh.encoder),
        "adapter": fresh.encoder["adapter"] is not None,
        "projection": fresh.encoder["projection"] is not None,
        "pooling": fresh.encoder["pooling"],
        "normalize": settings.normalize,
        "max_length": settings.max_length,
        "model_dtype": settings.dtype,
        "dataset": embedded.dataset(settings).name,
        "dataset_size": embedded.size,
        "imported": settings.imported,
    }


def metadata_of(table: pl.DataFrame, n_tokens: Any, is_cut: Any) -> pl.DataFrame:
    """The rows of metadata.parquet: ours, then the dataset's own."""
    rows = table.with_row_index("row")
    first = rows.group_by("text", maintain_order=True).agg(pl.col("row").first().alias("first"))
    joined = rows.join(first, on="text", how="left", maintain_order="left")
    duplicate = pl.when(pl.col("first") == pl.col("row")).then(None).otherwise(pl.col("first"))
    ours = joined.select(
        pl.col("row").cast(pl.UInt32),
        "text_id",
        "text",
        duplicate.cast(pl.UInt32).alias("duplicate_of"),
        pl.Series("n_tokens", n_tokens, dtype=pl.UInt32),
        pl.Series("is_cut", is_cut, dtype=pl.Boolean),
    )
    return ours.hstack(table.drop("text_id", "text"))


def write_info(staging: Path, info: dict[str, Any]) -> None:
    """Write info.json."""
    text = json.dumps(info, indent=1, allow_nan=False, ensure_ascii=False)
    (staging / INFO).write_text(text + "\n", encoding="utf-8")


def publish(fresh: Freshness, staging: Path) -> None:
    """Publish the staged files of a set's embeddings."""
    manifest = Manifest(
        step=STEP,
        version=VERSION,
        fingerprint=fresh.expected,
        settings=fresh.chosen,
        inputs={},
        sources=fresh.sources,
        files=describe_files(staging),
    )
    fresh.embedded.shelf.publish(staging, manifest, OUTPUTS)


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

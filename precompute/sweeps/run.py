"""A sweep from activations to results, by one process or by several that share the caches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from precompute.executors.ranks import Ranks
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.stages import Reporter, Wanted, bring_up_to_date, status_of
from precompute.progress import Progress, Silent
from precompute.sweeps.curves import Resampling, curve
from precompute.sweeps.plan import RUNS, STEP, SweepPlan
from precompute.sweeps.results import ROWS_PER_GROUP, ROWS_SCHEMA, SweepResult, open_sweep, record, recoveries
from precompute.sweeps.rows import ShardRows
from precompute.sweeps.sample_cache import SampleCache
from precompute.sweeps.score_shards import CURVES, ScoreShards, ShardScores, add_texts
from precompute.sweeps.subsets import weights_by_subset
from precompute.sweeps.sums import TextSums
from precompute.sweeps.vector_cache import VectorCache, Vectors

if TYPE_CHECKING:
    from precompute.models.language_model import LanguageModel
    from precompute.models.text_autoencoder.protocol import TextAutoencoder


@dataclass
class Done:
    """What a process had to do, since no cache had it."""

    n_extracted: int = 0
    """Activations."""
    n_written: int = 0
    """Explanations."""
    n_rebuilt: int = 0
    """Shards of caches that were damaged."""


@dataclass
class Sweep:
    """One process of a sweep. Models are loaded when they are first needed."""

    plan: SweepPlan
    ranks: Ranks = field(default_factory=Ranks)
    done: Done = field(default_factory=Done)
    load: bool = True
    """Whether what the caches have is used; without, it is replaced."""

    @cached_property
    def device(self) -> str:
        """The torch device of this process."""
        from precompute.models.language_model import chosen_device

        where = chosen_device(self.plan.settings.machine.device)
        return self.ranks.device(where)

    @cached_property
    def language_model(self) -> LanguageModel:
        """The model whose activations they are."""
        from precompute.models.language_model import open_language_model

        checkpoint, header = self.plan.checkpoint, self.plan.checkpoint.header
        chosen = (checkpoint.model, header.revision, header.dtype, checkpoint.adapter)
        return open_language_model(*chosen, self.device)

    @cached_property
    def autoencoder(self) -> TextAutoencoder:
        """The text autoencoder."""
        from precompute.models.text_autoencoder.registry import load_text_autoencoder

        batch_size = self.plan.settings.eval.max_generation_batch_size
        return load_text_autoencoder(self.plan.checkpoint, self.device, batch_size)

    @cached_property
    def vectors(self) -> VectorCache:
        """The cache of activations."""
        return VectorCache(self.plan.vectors, self.load)

    @cached_property
    def samples(self) -> SampleCache:
        """The cache of explanations."""
        settings = self.plan.settings.eval
        return SampleCache(self.plan.samples, settings.temperature, settings.seed, self.load)

    @cached_property
    def scores(self) -> ScoreShards:
        """The scores of this sweep's shards."""
        return ScoreShards(self.plan.scores, self.plan.settings.eval.k_values, self.load)

    def work(self, progress: Progress) -> None:
        """Score this process's shards, those that are not scored yet."""
        shards = self.plan.rows.shards
        mine = self.ranks.own(shards)
        progress.start(sum(shard.n_used for shard in mine), "activations")
        for shard in mine:
            self._note_damage(shard)
            if shard.n_used and not self.scores.is_there(shard):
                self._score(shard)
            progress.advance(shard.n_used)

    def _score(self, shard: ShardRows) -> None:
        x, pool = self.x(shard), self.plan.settings.eval.pool
        self.done.n_written += self.samples.lacking(shard, self.autoencoder.n_tokens, pool)
        tokens = self.samples.samples(shard, x, self.autoencoder, pool)
        self.scores.score(shard, x, tokens, self.autoencoder)

    def x(self, shard: ShardRows) -> Vectors:
        """The activations of a shard's used rows."""
        return self.vectors.vectors(shard, self._extract).array("x", shard.n_used)

    def _extract(self, rows: ShardRows) -> Vectors:
        from precompute.models.capture import capture_rows

        model = self.language_model
        site = model.sites.site(self.plan.checkpoint.header.hook_name)
        batch_size = self.plan.settings.eval.vector_extraction_batch_size
        self.done.n_extracted += len(rows)
        return capture_rows(model, site, rows.examples, rows.positions, batch_size)

    def _note_damage(self, shard: ShardRows) -> None:
        files = (self.plan.vectors, self.plan.samples, self.plan.scores)
        self.done.n_rebuilt += sum(each.is_damaged(shard.number) for each in files)

    def publish(self, out: Path) -> None:
        """Write the results into a directory, from all shards, in their order."""
        shards = [shard for shard in self.plan.rows.shards if shard.n_used]
        for shard in shards:  # another process's could have been damaged since
            if self.scores.open(shard) is None:
                self._score(shard)
        sums = {name: self._sums(shards, name) for name in CURVES}
        settings = self.plan.settings.eval
        resampling = Resampling(settings.n_bootstrap, settings.seed) if settings.do_bootstrap else None
        total = sums["subsets"].total()
        counts = {
            "n_texts": len(sums["subsets"]),
            "n_rows": self.plan.rows.n_rows,
            "d_in": int(total.x.shape[1]),
            "n_tokens": self.plan.checkpoint.header.n_tokens,
        }
        found = record(
            self.plan.scientific,
            self.plan.sources,
            counts,
            {name: curve(of_curve, resampling) for name, of_curve in sums.items()},
        )
        stem = settings.stem
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        (out / f"{stem}.json").write_text(text, encoding="utf-8")
        mean = (total.x / total.n_rows[:, None])[0]
        tables = [self._table(shard, mean) for shard in shards]
        rows = pl.concat(tables).with_row_index("row").cast({"row": pl.UInt32})
        rows.select(list(ROWS_SCHEMA)).write_parquet(
            out / f"{stem}.rows.parquet", row_group_size=ROWS_PER_GROUP
        )
        self._vocabulary().write_parquet(out / f"{stem}.vocabulary.parquet")

    def _sums(self, shards: list[ShardRows], name: str) -> TextSums:
        found = [
            ShardScores.read(opened, name) for s in shards if (opened := self.scores.open(s)) is not None
        ]
        return add_texts(np.concatenate([part.text for part in found]), [part.sums[name] for part in found])

    def _table(self, shard: ShardRows, mean: np.ndarray[Any, Any]) -> pl.DataFrame:
        """The rows of a shard, without their numbers."""
        settings, n = self.plan.settings.eval, shard.n_used
        x = self.x(shard).astype(np.float64)
        tokens = self.samples.known(shard, self.plan.checkpoint.header.n_tokens, settings.pool)
        if tokens is None:
            tokens = self.samples.samples(shard, x.astype(np.float32), self.autoencoder, settings.pool)
        opened = self.scores.open(shard)
        assert opened is not None
        errors, d_in = opened.array("errors"), x.shape[1]
        weights = weights_by_subset(errors, list(settings.k_values))
        mse = np.einsum("rks,rs->rk", weights, errors) / d_in
        distance = np.square(x - mean).sum(-1)
        columns = {
            "text_id": shard.text_ids[:n],
            "chunk": shard.chunks[:n],
            "position": shard.position[:n],
            "token_ids": shard.row_tokens()[:n],
            "distance": distance,
            "best": errors.argmin(1),
            "errors": errors.tolist(),
            "samples": tokens.tolist(),
            "mse": mse.tolist(),
            "recovery": recoveries(mse, distance, d_in),
        }
        return pl.DataFrame(
            columns, schema={name: kind for name, kind in ROWS_SCHEMA.items() if name in columns}
        )

    def _vocabulary(self) -> pl.DataFrame:
        from precompute.models.language_model import load_tokenizer
        from precompute.models.tokens import vocabulary

        checkpoint = self.plan.checkpoint
        tokenizer = load_tokenizer(checkpoint.model, checkpoint.header.revision)
        tokens = vocabulary(tokenizer, max(len(tokenizer), 1 + max(tokenizer.get_vocab().values())))
        return pl.DataFrame({"token_id": range(len(tokens)), "token": tokens})


def wanted(plan: SweepPlan, publish: Callable[[Path], None] = lambda _: None) -> Wanted:
    """The results as they should be."""

    def run(out: Path, _progress: Progress) -> None:
        publish(out)

    return Wanted(plan.stage, run, settings=plan.scientific, sources=plan.sources)


def status(plan: SweepPlan) -> StepStatus:
    """Whether the results are there, and of what was asked for."""
    return status_of(plan.shelf, wanted(plan))


def compute(
    plan: SweepPlan,
    ranks: Ranks | None = None,
    reporter: Reporter | None = None,
    progress: Progress | None = None,
) -> tuple[SweepResult, Done]:
    """Bring the results up to date, all processes together, and open them."""
    load, together = plan.settings.eval.load_store, ranks or Ranks()
    sweep = Sweep(plan, together, load=load)
    # What is read once for all is read by the leading process first.
    if together.leads:
        _ = plan.corpus_digest
    together.wait()
    stale = (
        status_of(plan.shelf, wanted(plan), look_for_run=False).state != "fresh" if together.leads else None
    )
    if together.told(stale or not load):
        sweep.work(progress or Silent())
        together.wait()
        if together.leads:
            plan.shelf.directory.mkdir(parents=True, exist_ok=True)
            asked = wanted(plan, Sweep(plan, together, sweep.done).publish)
            bring_up_to_date(plan.shelf, asked, reporter or _Nobody(), force=not load)
            plan.shelf.collect_garbage([STEP])
        together.wait()
    if together.leads:
        _link_outputs(plan)
    together.wait()
    return open_sweep(plan.output_dir / plan.settings.eval.output_file), sweep.done


def _link_outputs(plan: SweepPlan) -> None:
    """Make the files of the results be found in the results' directory itself."""
    for name in plan.stage.outputs:
        link, target = plan.output_dir / name, Path(RUNS) / plan.settings.eval.stem / name
        if not link.is_symlink() or link.readlink() != target:
            staging = link.with_name(f".tmp-link-{name}-{os.getpid()}")
            staging.symlink_to(target)
            staging.replace(link)


class _Nobody:
    """Watches nothing."""

    def started(self, *_: Any) -> Progress:
        return Silent()

    def ended(self, *_: Any) -> None:
        pass

"""What a terminal is told of traits: a bar for each stage, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import polars as pl

from precompute.extraction.plan import Trait
from precompute.extraction.settings import METHODS
from precompute.extraction.stages import (
    ACTIVATIONS,
    GENERATION,
    RESPONSES,
    RESPONSES_FILE,
    VECTORS,
    VECTORS_DIRECTORY,
)
from precompute.pipeline.stages import Stage

LABELS: Mapping[str, str] = {
    GENERATION.name: "writing responses",
    RESPONSES.name: "scoring",
    ACTIVATIONS.name: "capturing",
    VECTORS.name: "finding vectors",
}


def described(trait: Trait, stage: Stage) -> str:
    """What there is now, in one line."""
    table = pl.read_parquet(trait.shelf.directory / RESPONSES_FILE)
    n_kept, n_near = int(table["kept"].sum()), int(table["near_tie"].is_not_null().sum())
    unscored = table.filter(~pl.col("kept") & pl.col("score").is_null()).height
    parts = [f"{table.height:,} responses", f"{n_kept:,} kept"]
    parts += [f"{unscored:,} without a score"] if unscored else []
    parts += [f"{n_near:,} with a near tie, where rounding may change a token"] if n_near else []
    return f"{trait.name}: {', '.join(parts)}; {trait.shelf.directory / stage.outputs[0]}"


def told_vectors(trait: Trait) -> Iterator[str]:
    """How well each method does at its best site."""
    for method in METHODS:
        path = trait.shelf.directory / VECTORS_DIRECTORY / f"{method}.json"
        if not path.is_file():
            continue
        summary = json.loads(path.read_text(encoding="utf-8"))
        found = summary["sites"][summary["best"]]
        low, high = found["auc_interval"] or ("?", "?")
        interval = f" [{low:.3f}, {high:.3f}]" if found["auc_interval"] else ""
        effect = "" if found["effect_size"] is None else f", d = {found['effect_size']:.2f}"
        yield (
            f"  {method:<10s} {summary['best']}: held-out AUC {found['auc']:.3f}{interval}{effect}; "
            f"random directions {found['random_auc']['mean']:.3f} (95 %: {found['random_auc']['high']:.3f})"
        )

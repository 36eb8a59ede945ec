"""Trait vectors, one a capture site and method, found on some questions and judged on the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int

from precompute.errors import UsageError
from precompute.extraction.definition import FEWEST_QUESTIONS, held_out_groups
from precompute.extraction.evaluation import auc, bootstrap_auc, effect_size, random_baseline
from precompute.extraction.methods import METHOD_FUNCTIONS
from precompute.extraction.settings import MethodName, VectorSettings
from precompute.extraction.stages import INDEX_FILE, PROJECTIONS_FILE
from precompute.npy import open_npy
from precompute.progress import Progress


@dataclass(frozen=True)
class Sides:
    """The examples of a trait that count, at one site."""

    x: Float64[np.ndarray, "n d"]
    is_positive: Bool[np.ndarray, " n"]
    groups: Int[np.ndarray, " n"]
    """What goes together: the question, or the example's own number where questions are few."""
    is_held_out: Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class Judged:
    """A direction and how well it does on held-out examples."""

    vector: Float64[np.ndarray, " d"]
    projections: Float64[np.ndarray, " n"]
    record: dict[str, Any]


def judged(sides: Sides, method: MethodName, chosen: VectorSettings) -> Judged:
    """Find a direction on the examples that are not held out, and judge it on those that are."""
    fit, held = ~sides.is_held_out, sides.is_held_out
    found = METHOD_FUNCTIONS[method](sides.x[fit], sides.is_positive[fit], chosen.vector_seed)
    projections = sides.x @ found.vector
    side, scores = sides.is_positive[held], projections[held]
    interval = bootstrap_auc(scores, side, sides.groups[held], chosen.n_bootstrap, chosen.vector_seed)
    means = [float(projections[fit & (sides.is_positive == positive)].mean()) for positive in (True, False)]
    record = {
        "auc": auc(scores, side),
        "auc_interval": None if interval is None else [interval.low, interval.high],
        "effect_size": effect_size(scores, side),
        "random_auc": asdict(random_baseline(sides.x[held], side, chosen.n_random, chosen.vector_seed)),
        "fit_auc": auc(projections[fit], sides.is_positive[fit]),
        "separation": means[0] - means[1],
        "mean_pos": means[0],
        "mean_neg": means[1],
        "mean_norm": float(np.linalg.norm(sides.x[fit], axis=1).mean()),
        **found.details,
    }
    return Judged(found.vector, projections, record)


def write_vectors(
    responses: Path, activations: Path, chosen: VectorSettings, out: Path, progress: Progress
) -> None:
    """METHOD.safetensors (by site, float32 [d], length 1), METHOD.json, and projections.parquet."""
    from safetensors.numpy import save_file
    from threadpoolctl import threadpool_limits

    out.mkdir(parents=True, exist_ok=True)
    table, arrays = pl.read_parquet(responses), _arrays(activations, chosen)
    position = arrays[0]["position"]
    progress.start(len(chosen.methods) * len(arrays), "vectors")
    parts = []
    for method in chosen.methods:
        vectors, records = {}, {}
        for entry in arrays:
            site = entry["site"]
            x = open_npy(activations / entry["file"], mapped=False).astype(np.float64)
            rows, sides = sides_of(table, x, chosen)
            # Fits are many and small: threads would wait for each other most of the time.
            with threadpool_limits(1):
                found = judged(sides, method, chosen)
            vectors[site], records[site] = found.vector.astype(np.float32), found.record
            parts.append(_projected(table, rows, sides, found.projections, (method, site)))
            progress.advance()
        best = max(records, key=lambda name: records[name]["auc"])
        # One key: safetensors writes several in an order that changes from run to run.
        save_file(vectors, out / f"{method}.safetensors", metadata={"position": position})
        counts = _counts(table, rows, sides)
        summary = {"method": method, "position": position, "best": best, **counts, "sites": records}
        (out / f"{method}.json").write_text(
            json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
    pl.concat(parts).write_parquet(out / PROJECTIONS_FILE)


def sides_of(
    table: pl.DataFrame, x: Float64[np.ndarray, "n d"], chosen: VectorSettings
) -> tuple[Int[np.ndarray, " m"], Sides]:
    """The rows of the table that count, and their examples: kept by the judge, and with tokens to capture.

    Raises UsageError for a side that is empty, or that the split leaves nothing of.
    """
    kept = table["kept"].to_numpy() & np.isfinite(x).all(axis=1)
    rows = np.flatnonzero(kept)
    is_positive = (table["polarity"] == "pos").to_numpy()[rows]
    for name, n in (("positive", int(is_positive.sum())), ("negative", int((~is_positive).sum()))):
        if n < 2:
            raise UsageError(
                f"{n} {name} responses that count, of {table.height:,} in all",
                "at least 2",
                "choose another --threshold or judge, or raise --n-examples",
            )
    questions = table["question"].to_numpy()[rows].astype(np.int64)
    few = len(np.unique(questions)) < FEWEST_QUESTIONS
    groups = table["example"].to_numpy()[rows].astype(np.int64) // 2 if few else questions
    is_held_out = held_out_groups(groups, chosen.validation_share, chosen.vector_seed)
    for part in (is_held_out, ~is_held_out):
        if len(np.unique(is_positive[part])) < 2:
            raise UsageError(
                f"{len(rows):,} responses that count, of which a side is empty where questions are held out",
                "both sides among the held-out ones and among the others",
                "raise --n-examples, or choose another --validation-share or --vector-seed",
            )
    return rows, Sides(x[rows], is_positive, groups, is_held_out)


def _arrays(activations: Path, chosen: VectorSettings) -> list[dict[str, str]]:
    """The captured arrays that are used; raises UsageError for a layer that was not captured."""
    index = json.loads((activations / INDEX_FILE).read_text(encoding="utf-8"))["arrays"]
    position = chosen.position or index[0]["position"]
    found = [entry for entry in index if entry["position"] == position]
    if chosen.layers is None:
        return found
    wanted = [f"blocks.{layer}.hook_resid_post" for layer in chosen.layers]
    known = {entry["site"]: entry for entry in found}
    for site in wanted:
        if site not in known:
            raise UsageError(
                f"layer {site.split('.')[1]}, which was not captured",
                f"one of {', '.join(known)}",
                "correct --layers, or capture it with --sites",
            )
    return [known[site] for site in wanted]


def _counts(table: pl.DataFrame, rows: Int[np.ndarray, " m"], sides: Sides) -> dict[str, int]:
    """How many examples there are of what."""
    held, positive = sides.is_held_out, sides.is_positive
    return {
        "n_responses": table.height,
        "n_unscored": int((table["score"].is_null() & ~table["kept"]).sum()),
        "n_left_out": table.height - len(rows),
        "n_fit_pos": int((~held & positive).sum()),
        "n_fit_neg": int((~held & ~positive).sum()),
        "n_validation_pos": int((held & positive).sum()),
        "n_validation_neg": int((held & ~positive).sum()),
    }


def _projected(
    table: pl.DataFrame,
    rows: Int[np.ndarray, " m"],
    sides: Sides,
    projections: Float64[np.ndarray, " m"],
    named: Sequence[str],
) -> pl.DataFrame:
    method, site = named
    return pl.DataFrame(
        {
            "method": [method] * len(rows),
            "site": [site] * len(rows),
            "example": table["example"].gather(rows),
            "is_positive": sides.is_positive,
            "is_held_out": sides.is_held_out,
            "projection": projections.astype(np.float32),
        }
    )

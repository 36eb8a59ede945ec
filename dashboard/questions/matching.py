"""The same feature in another SAE: decoder directions of two model types, compared by their cosine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.queries import Queries
from dashboard.questions.sources import source_digest
from dashboard.questions.summaries import hook_name
from dashboard.tables import optional
from dashboard.token_view import label

NEAREST = 5
TOKENS_SHOWN = 3
FEATURES_A_BLOCK = 4096
"""Directions that are read and scaled at a time."""


@dataclass(frozen=True)
class Match:
    """One feature of another model type."""

    feature: int
    cosine: float
    promotes: tuple[str, ...]
    """The tokens that it promotes most, as they are shown; empty where not computed."""


@dataclass(frozen=True)
class Matches:
    """What is nearest to one feature in another model type."""

    name: str
    """The other model type."""
    hook_name: str | None
    same_model: bool
    """Whether both SAEs read the same weights; where not, equal directions need not mean the same."""
    nearest: tuple[Match, ...]
    """By falling cosine; empty where the widths differ."""
    d_in: int
    other_d_in: int


def unit_directions(queries: Queries) -> NDArray[np.float32]:
    """float32 [d_sae, d_in]: decoder directions of length 1; a direction of length 0 stays 0."""

    def scaled() -> NDArray[np.float32]:
        stored = queries.artifacts.array("directions")
        found = np.empty(stored.shape, dtype=np.float32)
        for start in range(0, len(stored), FEATURES_A_BLOCK):
            block = np.asarray(stored[start : start + FEATURES_A_BLOCK], dtype=np.float32)
            lengths = np.linalg.norm(block, axis=1, keepdims=True)
            found[start : start + FEATURES_A_BLOCK] = block / np.where(lengths > 0, lengths, 1)
        return found

    return queries.tables.derived("unit directions", "directions", scaled)


def cosine_matrix(queries: Queries, features: tuple[int, ...]) -> NDArray[np.float32]:
    """float32 [n_features, n_features]: cosines of the decoder directions of some features."""
    chosen = unit_directions(queries)[list(features)]
    return np.asarray(np.clip(chosen @ chosen.T, -1, 1))


def matches(queries: Queries, other: Queries, feature: int) -> Matches:
    """The features of another model type that point most nearly the same way, among all of its features.

    One product of a matrix with a vector, so the answer is not kept: keeping it would hold one model type's
    memory while the other's is asked, and two tabs could wait for each other.
    """
    mine, theirs = unit_directions(queries), unit_directions(other)
    same_width = mine.shape[1] == theirs.shape[1]
    return Matches(
        name=other.model_type.name,
        hook_name=hook_name(other),
        same_model=(model := _model(queries)) is not None and model == _model(other),
        nearest=_nearest(other, theirs, mine[feature]) if same_width else (),
        d_in=mine.shape[1],
        other_d_in=theirs.shape[1],
    )


def _nearest(
    other: Queries, theirs: NDArray[np.float32], direction: NDArray[np.float32]
) -> tuple[Match, ...]:
    cosines = np.clip(theirs @ direction, -1, 1)
    few = min(NEAREST, len(cosines))
    best = np.argpartition(-cosines, few - 1)[:few]
    best = best[np.lexsort((best, -cosines[best]))]
    tokens = promoted_tokens(other, best.tolist())
    return tuple(Match(int(f), float(cosines[f]), tokens.get(int(f), ())) for f in best)


def promoted_tokens(queries: Queries, features: list[int]) -> dict[int, tuple[str, ...]]:
    """What some features promote; only the first tokens of each feature are read and kept."""

    def few() -> pl.DataFrame:
        promotes = queries.artifacts.scan("influences").filter(pl.col("direction") == "promotes")
        first = pl.col("rank") < pl.col("rank").min() + TOKENS_SHOWN
        return promotes.filter(first).select("feature", "rank", "token").sort("feature", "rank").collect()

    table = optional(lambda: queries.tables.derived("promoted few", "influences", few))
    if table is None:
        return {}
    chosen = table.filter(pl.col("feature").is_in(features))
    cells = chosen.group_by("feature", maintain_order=True).agg("token").iter_rows()
    return {feature: tuple(label(token) for token in tokens) for feature, tokens in cells}


def _model(queries: Queries) -> str | None:
    return source_digest(queries, "activations", "model")

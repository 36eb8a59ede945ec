"""The rows of a sweep: examples of texts in one seeded order, and the positions taken of each.

The first rows of a sweep are the first of any larger one, so that what was computed for them serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from precompute.corpus.subsets import held_out_mask, seeded_order
from precompute.corpus.windows import Encode, cut_windows
from precompute.errors import CorpusError
from precompute.sweeps.settings import DataSettings, EvalSettings, Strategy

SHARD_EXAMPLES = 64
"""Examples of a logical shard, whatever the batch size or the number of processes."""
ORDER_SEED = 0
"""Seed of the order of texts; not a sweep's own, so that all sweeps use the same texts first."""


@dataclass(frozen=True)
class PositionRule:
    """Which positions of an example are taken."""

    num_positions: int
    min_pos: int
    strategy: Strategy
    seed: int

    @staticmethod
    def of(settings: EvalSettings) -> PositionRule:
        """Those that a sweep asks for."""
        return PositionRule(
            settings.num_positions, settings.min_pos, settings.position_selection_strategy, settings.seed
        )

    def identity(self) -> dict[str, Any]:
        """What determines the positions; a seed only where it does."""
        seed = self.seed if self.strategy == "random" else None
        return {
            "num_positions": self.num_positions,
            "min_pos": self.min_pos,
            "strategy": self.strategy,
            "seed": seed,
        }

    def of_window(self, window: Mapping[str, Any]) -> list[int]:
        """The positions taken of a row of the table of windows."""
        text, n_tokens = window["text_id"], len(window["token_ids"])
        return self.chosen(text, window["chunk"], window["n_special"], n_tokens)

    def chosen(self, text_id: str, chunk: int, n_special: int, n_tokens: int) -> list[int]:
        """The positions taken of an example, ascending; all that may be taken where they are fewer."""
        first, n = max(n_special, self.min_pos), self.num_positions
        if n_tokens - first <= n:
            return list(range(first, n_tokens))
        if self.strategy == "last":
            return list(range(n_tokens - n, n_tokens))
        if self.strategy == "even":
            return [first + round((i + 0.5) * (n_tokens - first) / n - 0.5) for i in range(n)]
        keys = {p: _key(self.seed, text_id, chunk, p) for p in range(first, n_tokens)}
        return sorted(sorted(keys, key=keys.__getitem__)[:n])


def _key(seed: int, text_id: str, chunk: int, position: int) -> int:
    return xxhash.xxh3_64_intdigest(f"position:{seed}:{text_id}:{chunk}:{position}".encode())


@dataclass(frozen=True)
class ShardRows:
    """The rows of one logical shard."""

    number: int
    examples: list[list[int]]
    """Token ids of those of its examples that have rows."""
    positions: list[list[int]]
    """The positions taken of each of them."""
    example: npt.NDArray[np.int64]
    """[n_rows]: the number of each row's example in the whole order."""
    text: npt.NDArray[np.int64]
    """[n_rows]: the number of its text in the order; ascending."""
    text_ids: list[str]
    """Of each row."""
    chunks: list[int]
    """Of each row: which window of its text it is in."""
    position: npt.NDArray[np.int64]
    """[n_rows]: its token position in the window."""
    n_used: int
    """Its first rows, which are the sweep's; the others complete the shard for larger sweeps."""

    def __len__(self) -> int:
        return len(self.example)

    def row_tokens(self) -> list[list[int]]:
        """The token ids of each row's window."""
        pairs = zip(self.examples, self.positions, strict=True)
        return [tokens for tokens, chosen in pairs for _ in chosen]


@dataclass(frozen=True)
class RowPlan:
    """All rows of a sweep."""

    shards: list[ShardRows]

    @property
    def n_rows(self) -> int:
        """Rows that the sweep uses."""
        return sum(shard.n_used for shard in self.shards)


def ordered_texts(table: pl.DataFrame, data: DataSettings) -> pl.DataFrame:
    """The texts that are chosen, each once, in the seeded order: columns text_id, text."""
    if data.held_out is not None:
        table = table.filter(pl.Series(held_out_mask(table, data.held_out)))
    table = table.select("text_id", "text").unique("text_id", keep="first", maintain_order=True)
    if table.is_empty():
        raise CorpusError(
            "no text for the sweep", "at least one", "correct `data.dataset` or `data.held_out`"
        )
    return table[seeded_order(table["text_id"], ORDER_SEED)]


def plan_rows(  # noqa: PLR0917 - what defines a row
    texts: pl.DataFrame, encode: Encode, n_ctx: int, bos: int | None, rule: PositionRule, limit: int | None
) -> RowPlan:
    """Cut texts into examples and take positions of each, in whole shards that hold the first `limit`."""
    whole = None if limit is None else -(-limit // SHARD_EXAMPLES) * SHARD_EXAMPLES
    order = np.arange(texts.height, dtype=np.int64)
    windows = cut_windows(texts, order, encode, n_ctx, bos, whole)
    used = windows.height if limit is None else limit
    starts = range(0, windows.height, SHARD_EXAMPLES)
    cut = (windows.slice(start, SHARD_EXAMPLES) for start in starts)
    shards = [_shard(number, part, rule, used) for number, part in enumerate(cut)]
    if not any(shard.n_used for shard in shards):
        raise CorpusError(
            "no activation to take: every example is too short",
            f"tokens at position {rule.min_pos} or later",
            "lower `eval.min_pos`",
        )
    return RowPlan(shards)


def _shard(number: int, windows: pl.DataFrame, rule: PositionRule, used: int) -> ShardRows:
    pairs = ((window, rule.of_window(window)) for window in windows.iter_rows(named=True))
    found = [(window, chosen) for window, chosen in pairs if chosen]

    def of_rows(name: str) -> list[Any]:
        return [window[name] for window, chosen in found for _ in chosen]

    example = np.array(of_rows("example"), dtype=np.int64)
    return ShardRows(
        number=number,
        examples=[window["token_ids"] for window, _ in found],
        positions=[chosen for _, chosen in found],
        example=example,
        text=np.array(of_rows("text_index"), dtype=np.int64),
        text_ids=of_rows("text_id"),
        chunks=of_rows("chunk"),
        position=np.array([p for _, chosen in found for p in chosen], dtype=np.int64),
        n_used=int((example < used).sum()),
    )

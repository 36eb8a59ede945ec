"""Small sweeps over a made text autoencoder, and one whose noise is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from precompute.executors.ranks import Ranks
from precompute.sweeps.composing import compose_settings
from precompute.sweeps.plan import SweepPlan
from precompute.sweeps.results import SweepResult
from precompute.sweeps.run import Done, Sweep, compute
from tests.tiny import D_MODEL


def overrides(root: Path, *more: str, data: str = "data") -> list[str]:
    """A sweep over the texts of `root`, with results and caches in a data directory there."""
    return [
        f"+eval.checkpoint_path={root / 'autoencoder'}",
        "data=file",
        f"data.dataset={root / 'texts.jsonl'}",
        f"machine.data_dir={root / data}",
        "machine=cpu",
        "+eval.k_values=[1,2,4]",
        "+eval.n_bootstrap=50",
        *more,
    ]


def planned(root: Path, *more: str, data: str = "data") -> SweepPlan:
    """The plan of such a sweep."""
    return SweepPlan.of(compose_settings(overrides(root, *more, data=data)))


def swept(root: Path, *more: str, data: str = "data") -> tuple[SweepResult, Done]:
    """Its results, and what had to be done for them."""
    return compute(planned(root, *more, data=data))


def by_ranks(plan: SweepPlan, world_size: int) -> SweepResult:
    """The same by several processes, one after the other."""
    for rank in reversed(range(world_size)):
        Sweep(plan, Ranks(rank, world_size)).work(Silent())
    return compute(plan)[0]


class Silent:
    """Watches nothing."""

    def start(self, total: int, unit: str) -> None: ...

    def advance(self, n: int = 1) -> None: ...


class KnownNoise:
    """Writes an activation into tokens, bit by bit, with an error in its first component.

    The squared error is uniform in (0, 1), so that the best of K has mean 1 / (K + 1).
    """

    n_tokens = d_in = D_MODEL

    def explain(
        self, vectors: np.ndarray, k: int, temperature: float, seed: Any, first: int = 0
    ) -> np.ndarray:
        found = np.repeat(vectors[:, None].astype(np.float32), k, axis=1)
        for row, own in enumerate(np.asarray(seed).tolist()):
            for sample in range(k):
                generator = np.random.default_rng([own, first + sample])
                found[row, sample, 0] += generator.choice([-1, 1]) * np.sqrt(generator.random())
        return found.view(np.int32)

    def reconstruct(self, token_ids: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(token_ids, dtype=np.int32).view(np.float32)


def mse_by_hand(errors: Sequence[Sequence[float]], k: int) -> float:
    """Best of K over all subsets, one at a time."""
    from itertools import combinations

    return float(np.mean([[min(chosen) for chosen in combinations(row, k)] for row in errors]))

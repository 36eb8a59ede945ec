"""Drawing prompts for training by their density weights: the same draws on any number of ranks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy.random import Generator, Philox
from torch.utils.data import Sampler

from precompute.artifacts.digests import bytes_digest
from precompute.density.neighbors import DISTANCES_FILE, SearchSettings, write_graph
from precompute.density.prompts import groups_of
from precompute.density.results import WEIGHTS_FILE, open_density
from precompute.density.stages import WEIGHTS
from precompute.density.weights import WeightSettings, distinct_weights, row_weights
from precompute.errors import UsageError
from precompute.npy import open_npy
from precompute.progress import Silent

if TYPE_CHECKING:
    from precompute.density.encoding import Encoder

DRAWS_PER_BLOCK = 2**14
"""Draws made at once; each block has a random stream of its own, so that any of them can come first."""


class DensitySampler(Sampler[int]):
    """Row numbers drawn with replacement by their weights, epoch after epoch.

    An epoch is one stream of `num_samples` draws, which depends on seed and epoch alone. Rank r of w takes
    the places r, r + w, r + 2w, …: together the ranks take each place once, none is repeated to fill up, so
    ranks may differ by one draw. Resuming continues the stream where it was left, with any number of ranks.
    """

    def __init__(
        self,
        weights_dir: Path | str,
        num_samples: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Open the weights of an output directory of `python -m precompute.density`.

        `num_samples` are the draws of an epoch on all ranks together; None is as many as there are rows.
        Raises UsageError for weights that are no distribution, ArtifactMissingError where there are none.
        """
        self._take(read_weights(Path(weights_dir)), num_samples, seed=seed, rank=rank, world_size=world_size)

    @classmethod
    def from_weights(
        cls,
        weights: Float32[np.ndarray, " n_rows"],
        num_samples: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> DensitySampler:
        """A sampler of weights in memory."""
        sampler = cls.__new__(cls)
        sampler._take(weights, num_samples, seed=seed, rank=rank, world_size=world_size)
        return sampler

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],
        encoder: Encoder,
        num_samples: int | None = None,
        seed: int = 0,
        *,
        rank: int = 0,
        world_size: int = 1,
        k: int = SearchSettings.k,
        weighing: WeightSettings | None = None,
        workers: int = 1,
    ) -> DensitySampler:
        """The online way: embed the texts, search and weigh them now, and keep nothing on disk."""
        weights = weights_of_texts(texts, encoder, k, weighing or WeightSettings.model_validate({}), workers)
        return cls.from_weights(weights, num_samples, seed, rank=rank, world_size=world_size)

    def _take(
        self,
        weights: Float32[np.ndarray, " n_rows"],
        num_samples: int | None,
        *,
        seed: int,
        rank: int,
        world_size: int,
    ) -> None:
        if not 0 <= rank < world_size:
            raise UsageError(
                f"rank {rank} of {world_size}", "0 to world_size - 1", "correct rank or world_size"
            )
        self.num_samples = len(weights) if num_samples is None else num_samples
        if self.num_samples < 1:
            raise UsageError(f"num_samples {num_samples}", "at least 1", "give another")
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.n_rows = len(weights)
        self._cumulative = _cumulative(weights)
        self._digest = bytes_digest(np.ascontiguousarray(weights).data)
        self._epoch, self._position = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; of the one that it is in, do nothing."""
        if epoch != self._epoch:
            self.resume(epoch, 0)

    def resume(self, epoch: int, position: int) -> None:
        """Go to a place of an epoch's stream: `position` draws were used, by all ranks together."""
        if epoch < 0 or not 0 <= position <= self.num_samples:
            raise UsageError(
                f"position {position} of epoch {epoch}", f"0 to {self.num_samples}", "give another position"
            )
        self._epoch, self._position = epoch, position

    def state_dict(self) -> dict[str, Any]:
        """Where it is: what `load_state_dict` takes, on any rank of any number of ranks.

        The position counts what was drawn; a loader that reads ahead has used less (see `resume`).
        """
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self.seed,
            "num_samples": self.num_samples,
            "weights": self._digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where another sampler of the same weights, seed and epoch length was."""
        own = self.state_dict()
        for name in ("seed", "num_samples", "weights"):
            if state.get(name) != own[name]:
                raise UsageError(
                    f"a state of other {name} ({state.get(name)})",
                    f"{own[name]}",
                    "make the sampler as it was",
                )
        self.resume(state["epoch"], state["position"])

    def __len__(self) -> int:
        """Draws that this rank has left in the epoch."""
        return len(range(self._position + self.rank, self.num_samples, self.world_size))

    def __iter__(self) -> Iterator[int]:
        """This rank's rows from where it is to the end of the epoch; the next epoch follows."""
        epoch, start = self._epoch, self._position
        places = range(start + self.rank, self.num_samples, self.world_size)
        for n_done, row in enumerate(self._rows(epoch, places), start=1):
            # All ranks go in step, so one draw here is one on each.
            self._position = min(self.num_samples, start + n_done * self.world_size)
            yield row
        self._epoch, self._position = epoch + 1, 0

    def _rows(self, epoch: int, places: range) -> Iterator[int]:
        first = places.start
        while first < self.num_samples:
            block = first // DRAWS_PER_BLOCK
            stop = min(self.num_samples, (block + 1) * DRAWS_PER_BLOCK)
            own = np.arange(first, stop, self.world_size)
            rows = self.draws(epoch, block)[own - block * DRAWS_PER_BLOCK]
            yield from rows.tolist()
            first = int(own[-1]) + self.world_size

    def draws(self, epoch: int, block: int) -> Int64[np.ndarray, " n_draws"]:
        """One block of an epoch's stream."""
        # 64 bits each of seed and of epoch are the key; the block is the counter's upper part.
        key = np.array([self.seed % 2**64, epoch % 2**64], dtype=np.uint64)
        counter = np.array([0, 0, block, 0], dtype=np.uint64)
        uniform = Generator(Philox(key=key, counter=counter)).random(DRAWS_PER_BLOCK)
        return np.searchsorted(self._cumulative, uniform, side="right")


def _cumulative(weights: Float32[np.ndarray, " n_rows"]) -> Float64[np.ndarray, " n_rows"]:
    """Running sums in float64, ending in 1 at the last row that has any weight, so that none is beyond."""
    wide = weights.astype(np.float64)
    if wide.ndim != 1 or not len(wide) or not np.isfinite(wide).all() or wide.min() < 0 or not wide.any():
        raise UsageError(
            f"weights of shape {weights.shape} that are no distribution",
            "one finite weight a row, none negative, not all zero",
            "run `python -m precompute.density` again",
        )
    last = len(wide) - 1 - int(np.argmax(wide[::-1] > 0))
    sums: np.ndarray = np.cumsum(wide, out=wide)
    sums /= sums[-1]
    sums[last:] = 1.0
    return sums


def read_weights(directory: Path) -> Float32[np.ndarray, " n_rows"]:
    """The weights of an output directory, or those that were copied out of one."""
    path = directory / WEIGHTS_FILE
    if not (directory / "artifacts" / WEIGHTS.name).exists() and path.is_file():
        copied: np.ndarray = open_npy(path, mapped=False)
        return copied
    return np.asarray(open_density(directory).weights)


def weights_of_texts(
    texts: Sequence[str], encoder: Encoder, k: int, weighing: WeightSettings, workers: int
) -> Float32[np.ndarray, " n_texts"]:
    """Weights as the command computes them, without anything kept."""
    groups = groups_of(texts)
    vectors = encoder.encode([texts[row] for row in groups.firsts])
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        np.save(out / "vectors.npy", vectors)
        rows = np.arange(groups.n)
        write_graph(out / "vectors.npy", rows, SearchSettings(k=k), out, workers=workers, progress=Silent())
        distances = open_npy(out / DISTANCES_FILE, mapped=False)
    return row_weights(distinct_weights(distances, weighing), groups.numbers)

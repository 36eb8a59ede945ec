"""Training of the demo's TopK SAEs on a CPU: dense encoder, sparse everything else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from precompute.demo.checkpoints import INTERVAL_S, load_checkpoint, save_checkpoint
from precompute.demo.meter import Meter, Timer
from precompute.demo.sparse_kernels import (
    AdamStep,
    Floats,
    Integers,
    Latents,
    Reconstruction,
    adam_rows,
    add_gradients,
    reconstruct,
    top_k,
    top_k_among,
)

log = logging.getLogger(__name__)

_ENCODE_ROWS = 512
"""Rows encoded at a time: their scores over all latents should stay in the cache."""


@dataclass(frozen=True)
class SAETraining:
    """What determines a trained SAE, up to the arithmetic of the machine."""

    d_sae: int
    """Latents."""
    n_rows: int
    """Training rows in all, repeated epochs included."""
    k: int = 32
    """Active latents of a row."""
    rows_per_step: int = 4096
    """Rows of a batch."""
    lr: float = 1e-3
    """Peak learning rate of Adam."""
    warmup: float = 0.02
    """Part of the steps in which the rate rises."""
    decay: float = 0.5
    """Part of the steps in which it falls linearly to zero."""
    dead_after: int = 400_000
    """A latent silent for so many rows is dead and gets the auxiliary loss (AuxK)."""
    k_aux: int = 64
    """Dead latents that try to explain a row's error."""
    aux_rows: int = 512
    """Rows of a batch on which they do."""
    seed: int = 0
    """Seed of initialisation and row order."""

    @property
    def n_steps(self) -> int:
        """Optimizer steps in all."""
        return self.n_rows // self.rows_per_step

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: warm up, stay, decay."""
        done = (step + 1) / self.n_steps
        return self.lr * min(done / self.warmup, 1.0, (1.0 - step / self.n_steps) / self.decay)


@dataclass
class SAEWeights:
    """Weights in training orientation, of the SAE of x / scale."""

    encoder: Floats
    """(d_sae, d_in)."""
    b_enc: Floats
    """(d_sae, 1)."""
    decoder: Floats
    """(d_sae, d_in), rows of length 1."""
    b_dec: Floats
    """(1, d_in)."""
    scale: float
    """Root mean square of the centred activations; what they are divided by."""

    def latents(self) -> Latents:
        """Return what the kernels need."""
        return Latents(self.encoder, self.b_enc[:, 0], self.decoder)

    def named(self) -> dict[str, Floats]:
        """Return the trained arrays by name."""
        return {"encoder": self.encoder, "b_enc": self.b_enc, "decoder": self.decoder, "b_dec": self.b_dec}


def initial_weights(sample: Floats, training: SAETraining) -> SAEWeights:
    """Return random unit decoder rows, their transpose as encoder, and the sample's geometric median."""
    generator = np.random.default_rng(training.seed)
    centre = geometric_median(sample)
    scale = float(np.sqrt(np.mean((sample - centre) ** 2)))
    decoder = generator.standard_normal((training.d_sae, sample.shape[1])).astype(np.float32)
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    b_enc = np.zeros((training.d_sae, 1), dtype=np.float32)
    return SAEWeights(decoder.copy(), b_enc, decoder, (centre / scale)[None, :].astype(np.float32), scale)


def geometric_median(points: Floats, n_iterations: int = 20) -> Floats:
    """Return the point with the least summed distance to all points (Weiszfeld's iteration)."""
    centre: Floats = points.mean(0)
    for _ in range(n_iterations):
        weights = 1.0 / np.maximum(np.linalg.norm(points - centre, axis=1), 1e-6)
        centre = ((weights[:, None] * points).sum(0) / weights.sum()).astype(np.float32)
    return centre


def score_blocks(centred: Floats, weights: SAEWeights) -> Iterator[Integers]:
    """Yield blocks of pre-activations (n_block, d_sae) in bfloat16, as 16-bit integers that order like them.

    Integers order bfloat16 numbers rightly where at least one is positive, which is all that top-k needs.
    """
    encoder = torch.from_numpy(weights.encoder).bfloat16().T
    bias = torch.from_numpy(weights.b_enc[:, 0]).bfloat16()
    rows = torch.from_numpy(centred).bfloat16()
    for first in range(0, len(rows), _ENCODE_ROWS):
        yield torch.addmm(bias, rows[first : first + _ENCODE_ROWS], encoder).view(torch.int16).numpy()


class SAERun:
    """A training run that can be stopped and taken up again."""

    def __init__(self, training: SAETraining, data: npt.NDArray[np.float16]) -> None:
        self.training, self.data = training, data
        generator = np.random.default_rng([training.seed, 1])
        sample = data[np.sort(generator.choice(len(data), min(len(data), 16384), replace=False))]
        self.weights = initial_weights(sample.astype(np.float32), training)
        names = self.weights.named()
        self.moments = {
            f"{name}.{moment}": np.zeros_like(value) for name, value in names.items() for moment in ("m", "v")
        }
        self.gradients = {name: np.zeros_like(value) for name, value in names.items()}
        self.last_fired = np.zeros(training.d_sae, dtype=np.int64)
        self.step = 0

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        checkpoint = load_checkpoint(path)
        if checkpoint is None:
            return
        for name, array in self._arrays().items():
            array[:] = checkpoint.tensors[name].numpy()
        self.weights.scale = float(checkpoint.progress["scale"])
        self.step = int(checkpoint.progress["step"])
        log.info("resumed at step %d", self.step)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {name: torch.from_numpy(array) for name, array in self._arrays().items()}
        save_checkpoint(path, tensors, {"step": self.step, "scale": self.weights.scale})

    def train(self, path: Path) -> SAEWeights:
        """Run the remaining steps and return the weights; progress goes to the log."""
        training = self.training
        meter = Meter(training.n_steps, training.rows_per_step, 100, "rows")
        timer = Timer(INTERVAL_S)
        for rows in islice(self._batches(), training.n_steps - self.step):
            loss = self.train_step(self._load(rows))
            meter.add(self.step, loss, note=f", dead {len(self._dead()) / training.d_sae:.4f}")
            if timer.due():
                self.save(path)
        self.save(path)
        return self.weights

    def train_step(self, x: Floats) -> float:
        """Take one optimizer step on rows x / scale (n_rows, d_in); return their squared error per value."""
        weights = self.weights
        centred = x - weights.b_dec
        dead = self._dead()
        chosen, chosen_aux = self._choose(centred, dead)
        found = reconstruct(centred, centred, chosen, weights.latents())
        self._accumulate(centred, found)
        slopes = self.gradients["b_enc"][:, 0] @ weights.encoder
        self.gradients["b_dec"] += found.error.sum(0) - slopes
        n_aux = len(chosen_aux)
        if n_aux:
            target = -found.error[:n_aux]
            explained = reconstruct(centred[:n_aux], target, chosen_aux, weights.latents())
            self._accumulate(centred[:n_aux], explained)
        self._update()
        self.last_fired[chosen[found.acts > 0]] = self.step * self.training.rows_per_step
        return float(np.mean(found.error.astype(np.float64) ** 2))

    def _choose(self, centred: Floats, dead: Integers) -> tuple[Integers, Integers]:
        """Return the active latents of all rows, and the best dead ones of the first rows."""
        k_aux = min(self.training.k_aux, len(dead))
        chosen, chosen_aux, first = [], [np.empty((0, max(k_aux, 1)), dtype=np.int32)], 0
        for scores in score_blocks(centred, self.weights):
            chosen.append(top_k(scores, self.training.k))
            if k_aux and first < self.training.aux_rows:
                rows = np.arange(min(len(scores), self.training.aux_rows - first))
                chosen_aux.append(top_k_among(scores, dead, rows, k_aux))
            first += len(scores)
        return np.concatenate(chosen), np.concatenate(chosen_aux)

    def _accumulate(self, centred: Floats, found: Reconstruction) -> None:
        """Add the gradients of encoder, its bias and decoder."""
        gradients = self.gradients
        latents = Latents(gradients["encoder"], gradients["b_enc"][:, 0], gradients["decoder"])
        add_gradients(centred, found, latents)

    def _update(self) -> None:
        """Take the Adam step of all weights."""
        rate = self.training.rate(self.step)
        self.step += 1
        for name, value in self.weights.named().items():
            first, second = self.moments[f"{name}.m"], self.moments[f"{name}.v"]
            adam = AdamStep(rate, self.step, name == "decoder")
            adam_rows(value, self.gradients[name], first, second, adam)

    def _dead(self) -> Integers:
        """Return the latents that have been silent for long, as sorted indices."""
        silent = self.step * self.training.rows_per_step - self.last_fired
        return np.flatnonzero(silent > self.training.dead_after).astype(np.int32)

    def _batches(self) -> Iterator[Integers]:
        """Yield the row indices of the remaining steps: every epoch is a new permutation."""
        per_epoch = len(self.data) // self.training.rows_per_step
        for epoch in range(self.step // per_epoch, self.training.n_steps // per_epoch + 1):
            order = np.random.default_rng([self.training.seed, 2, epoch]).permutation(len(self.data))
            skipped = self.step - epoch * per_epoch
            for index in range(skipped, per_epoch):
                # not sorted: the auxiliary loss looks at the first rows of a batch
                yield order[index * self.training.rows_per_step : (index + 1) * self.training.rows_per_step]

    def _load(self, rows: Integers) -> Floats:
        """Read rows of the activations and scale them."""
        loaded: Floats = self.data[rows].astype(np.float32) / np.float32(self.weights.scale)
        return loaded

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return every array of the run's state by name."""
        return {**self.weights.named(), **self.moments, "last_fired": self.last_fired}

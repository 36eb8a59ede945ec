"""Training of the demo's text autoencoder: on the tokens before an activation, then on its own samples."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from precompute.demo.autoencoder_export import export_autoencoder
from precompute.demo.autoencoder_model import Explainer, Moments, Reconstructor, as_tensor, fit_soft_token
from precompute.demo.autoencoder_rows import ActivationRows
from precompute.demo.checkpoints import (
    INTERVAL_S,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from precompute.demo.meter import Meter, Timer

log = logging.getLogger(__name__)

MOMENT_ROWS = 100_000
"""Rows of which mean, scale and the first soft token are taken."""


@dataclass(frozen=True)
class AutoencoderTraining:
    """What determines the trained weights, up to the arithmetic of the machine."""

    n_tokens: int = 8
    """Tokens of an explanation."""
    rank: int = 64
    """Rank of both adapters."""
    supervised_steps: int = 3000
    """Steps in which the explainer learns to write the tokens before the row's own, and that token."""
    joint_steps: int = 900
    """Steps in which both learn from what the explainer writes."""
    rows_per_step: int = 256
    """Rows of a step, in the joint part those of the supervised loss that is kept."""
    sampled_rows: int = 64
    """Rows of a joint step that are explained anew."""
    n_samples: int = 4
    """Explanations of each of them; a sample's reward is told against the others' mean."""
    supervised_weight: float = 0.3
    """Weight of the supervised loss in the joint part: it keeps the explanations language."""
    lr: float = 1e-3
    """Peak learning rate (AdamW)."""
    warmup_steps: int = 50
    """Steps in which the rate rises; over each part it falls linearly, to a tenth and to zero."""
    seed: int = 0
    """Seed of initialisation, order and samples."""

    @property
    def n_steps(self) -> int:
        """Optimizer steps in all."""
        return self.supervised_steps + self.joint_steps

    def is_joint(self, step: int) -> bool:
        """Whether a step trains on the explainer's own samples."""
        return step >= self.supervised_steps

    def rate(self, step: int) -> float:
        """The learning rate of a step as a part of its peak."""
        rising = min(1.0, (step + 1) / self.warmup_steps)
        if self.is_joint(step):
            return 0.4 * (self.n_steps - step) / self.joint_steps
        return rising * (1 - 0.6 * step / self.supervised_steps)

    def rows(self, step: int, n_rows: int) -> npt.NDArray[np.int64]:
        """The rows of a step, drawn without regard to earlier steps."""
        drawn = np.random.default_rng([self.seed, step]).choice(n_rows, self.rows_per_step, replace=False)
        return np.sort(drawn)


class Losses(NamedTuple):
    """What a step reports."""

    supervised: float
    """Nats a token of the true window."""
    unrecovered: float
    """Squared error as a part of the activations' variance."""


class AutoencoderRun:
    """A training run that can be stopped and taken up again."""

    def __init__(
        self, training: AutoencoderTraining, language_model: Path, rows: ActivationRows, bfloat16: bool
    ) -> None:
        self.training, self.rows, self.bfloat16 = training, rows, bfloat16
        torch.manual_seed(training.seed)
        sample = as_tensor(rows.activations[:MOMENT_ROWS])
        self.moments = Moments.of(sample)
        self.variance = float((sample - self.moments.mean).square().sum(-1).mean())
        self.explainer = Explainer(language_model, training.rank, self.moments)
        fit_soft_token(self.explainer, sample, as_tensor(rows.windows[:MOMENT_ROWS, -1]))
        self.reconstructor = Reconstructor(language_model, training.rank, sample.shape[1])
        self.optimizer = torch.optim.AdamW(list(self.trained().values()), lr=training.lr, weight_decay=0.01)
        self.step = 0

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that change, by name."""
        both = nn.ModuleDict({"explainer": self.explainer, "reconstructor": self.reconstructor})
        return {name: value for name, value in both.named_parameters() if value.requires_grad}

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        checkpoint = load_checkpoint(path)
        if checkpoint is None:
            return
        with torch.no_grad():
            for name, parameter in self.trained().items():
                parameter.copy_(checkpoint.tensors[name])
        restore_optimizer(self.optimizer, checkpoint.tensors, "adam")
        self.step = int(checkpoint.progress["step"])
        log.info("resumed at step %d", self.step)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {name: value.detach() for name, value in self.trained().items()}
        save_checkpoint(path, {**tensors, **optimizer_tensors(self.optimizer, "adam")}, {"step": self.step})

    def export(self, directory: Path) -> None:
        """Write the checkpoint directory that sweeps read."""
        parts = (self.explainer, self.reconstructor, self.moments)
        export_autoencoder(*parts, self.training.n_tokens, directory)

    def train(self, path: Path) -> None:
        """Take the steps that are left."""
        training = self.training
        meter, timer = Meter(training.n_steps, training.rows_per_step, 50, "rows"), Timer(INTERVAL_S)
        unrecovered = 0.0
        while self.step < training.n_steps:
            losses = self._take_step()
            unrecovered = (
                0.95 * unrecovered + 0.05 * losses.unrecovered if unrecovered else losses.unrecovered
            )
            meter.add(self.step, losses.supervised, f", unrecovered {unrecovered:.3f}")
            if timer.due() or self.step == training.n_steps:
                self.save(path)

    def _take_step(self) -> Losses:
        training, step = self.training, self.step
        for group in self.optimizer.param_groups:
            group["lr"] = training.lr * training.rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        chosen = training.rows(step, len(self.rows))
        activations = as_tensor(self.rows.activations[chosen])
        windows = as_tensor(self.rows.windows[chosen])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            losses = (
                self._joint(activations, windows)
                if training.is_joint(step)
                else self._supervised(activations, windows)
            )
        nn.utils.clip_grad_norm_(list(self.trained().values()), 1.0)
        self.optimizer.step()
        self.step += 1
        return losses

    def _supervised(self, activations: Tensor, windows: Tensor) -> Losses:
        """Both parts on the true window: its likelihood, and the activation that it gives."""
        writing = self._writing_loss(activations, windows)
        error = self._error(activations, windows).mean()
        (writing + error).backward()
        return Losses(float(writing.detach()), float(error.detach()))

    def _joint(self, activations: Tensor, windows: Tensor) -> Losses:
        """Both parts on sampled explanations; REINFORCE with the other samples' mean as the baseline.

        The baseline is that of Kool, van Hoof and Welling (2019).
        """
        training = self.training
        writing = self._writing_loss(activations, windows)
        torch.manual_seed(training.seed + 1 + self.step)
        explained = activations[np.random.default_rng(self.step).permutation(len(activations))]
        explained = explained[: training.sampled_rows].repeat_interleave(training.n_samples, 0)
        samples = self.explainer.sample(explained, training.n_tokens)
        error = self._error(explained, samples)
        reward = -error.detach().view(-1, training.n_samples)
        others = (reward.sum(1, keepdim=True) - reward) / (training.n_samples - 1)
        advantage = (reward - others).flatten()
        scores = self._log_likelihood(explained, samples)
        policy = -(advantage / advantage.std().clamp(min=1e-3) * scores).mean() / training.n_tokens
        (training.supervised_weight * writing + policy + error.mean()).backward()
        return Losses(float(writing.detach()), float(error.detach().mean()))

    def _log_likelihood(self, activations: Tensor, windows: Tensor) -> Tensor:
        """Log probability of each window, in nats (n)."""
        logits = self.explainer.logits(activations, windows)
        per_token = nn.functional.cross_entropy(logits.flatten(0, 1), windows.flatten(), reduction="none")
        return -per_token.view(windows.shape).sum(1)

    def _writing_loss(self, activations: Tensor, windows: Tensor) -> Tensor:
        """Mean cross-entropy of the true window, in nats a token."""
        return -self._log_likelihood(activations, windows).mean() / windows.shape[1]

    def _error(self, activations: Tensor, windows: Tensor) -> Tensor:
        """Squared error of each reconstruction as a part of the activations' variance (n)."""
        residual: Tensor = self.reconstructor(windows) - activations
        return residual.square().sum(-1) / self.variance

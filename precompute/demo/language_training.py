"""Training of the demo's language model: Muon for the matrices, AdamW for the rest, linear decay."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from precompute.demo.checkpoints import (
    INTERVAL_S,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from precompute.demo.language_model import N_CTX, build_model, mean_loss, save_model, token_losses
from precompute.demo.meter import Meter, Timer
from precompute.demo.token_rows import Ids, RowOrder, Rows, take_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LanguageTraining:
    """What determines the trained weights, up to the arithmetic of the machine."""

    n_tokens: int
    """Training tokens in all, repeated epochs included."""
    rows_per_step: int = 24
    """Rows of a batch."""
    muon_lr: float = 0.02
    """Peak learning rate of the 2-D matrices (scaled to the matrix's shape by Muon)."""
    adam_lr: float = 3e-3
    """Peak learning rate of embeddings and norms."""
    weight_decay: float = 0.02
    """Decoupled weight decay of the 2-D matrices."""
    warmup: float = 0.02
    """Part of the steps in which the rate rises."""
    decay: float = 0.6
    """Part of the steps in which it falls linearly to zero."""
    seed: int = 0
    """Seed of initialisation and row order."""

    @property
    def n_steps(self) -> int:
        """Optimizer steps in all."""
        return self.n_tokens // (self.rows_per_step * N_CTX)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as a part of its peak: warm up, stay, decay (WSD)."""
        done = (step + 1) / self.n_steps
        return min(done / self.warmup, 1.0, (1.0 - step / self.n_steps) / self.decay)


class LanguageRun:
    """A training run that can be stopped and taken up again."""

    def __init__(self, training: LanguageTraining, stream: Ids, device: str, bfloat16: bool) -> None:
        self.training, self.stream, self.device, self.bfloat16 = training, stream, device, bfloat16
        self.model: Any = build_model(training.seed).to(device)
        self.optimizers = _optimizers(self.model, training)
        self.forward: Any = self.model
        self.step = 0

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        checkpoint = load_checkpoint(path)
        if checkpoint is None:
            return
        weights = {name[6:]: value for name, value in checkpoint.tensors.items() if name[:6] == "model."}
        self.model.load_state_dict(weights, strict=False)
        for index, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, checkpoint.tensors, f"optimizer{index}")
        self.step = int(checkpoint.progress["step"])
        log.info("resumed at step %d", self.step)

    def save(self, path: Path) -> None:
        """Write a checkpoint, and beside it the model as it would be used."""
        tensors = {f"model.{name}": value for name, value in self.model.named_parameters()}
        for index, optimizer in enumerate(self.optimizers):
            tensors |= optimizer_tensors(optimizer, f"optimizer{index}")
        save_checkpoint(path, tensors, {"step": self.step})

    def train(self, path: Path, held_out: Rows, snapshot: Path) -> Any:
        """Run the remaining steps and return the model; progress goes to the log."""
        training = self.training
        order = RowOrder(len(self.stream), N_CTX - 1, training.seed)
        meter = Meter(training.n_steps, training.rows_per_step * N_CTX, 20, "tokens")
        timer = Timer(INTERVAL_S)
        batches = islice(order.batches(training.rows_per_step), self.step, training.n_steps)
        for starts in batches:
            loss = self._train_step(take_rows(self.stream, starts, N_CTX - 1))
            meter.add(self.step, loss)
            if timer.due():
                self.save(path)
                save_model(self.model, snapshot)
                log.info("held-out loss %.4f at step %d", self._evaluate(held_out), self.step)
                meter.restart()
        self.save(path)
        return self.model.eval()

    def _train_step(self, rows: Rows) -> float:
        """Take one optimizer step and return the mean loss in nats."""
        batch = torch.from_numpy(rows).to(self.device)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * self.training.rate(self.step)
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bfloat16):
            logits = self.forward(batch, use_cache=False).logits
        loss = token_losses(logits, batch).mean()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _evaluate(self, held_out: Rows) -> float:
        """Return the loss on a part of the held-out rows."""
        self.model.eval()
        loss = mean_loss(self.model, held_out)
        self.model.train()
        return loss


def _optimizers(model: Any, training: LanguageTraining) -> list[torch.optim.Optimizer]:
    """Return Muon for the blocks' matrices and AdamW for the (tied) embedding and the norms."""
    named = dict(model.named_parameters())
    matrices = [value for name, value in named.items() if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in named.items() if value.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(
        [{"params": matrices, "peak_lr": training.muon_lr}],
        lr=training.muon_lr,
        weight_decay=training.weight_decay,
        momentum=0.95,
        nesterov=True,
    )
    adam = torch.optim.AdamW(
        [{"params": others, "peak_lr": training.adam_lr}],
        lr=training.adam_lr,
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    return [muon, adam]

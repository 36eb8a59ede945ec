"""Training of the demo's embedder: a LoRA adapter and a projection, by contrast within a batch (InfoNCE)."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from precompute.demo.checkpoints import (
    INTERVAL_S,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from precompute.demo.language_model import PAD_ID, load_model
from precompute.demo.meter import Meter, Timer
from precompute.demo.token_rows import Ids

log = logging.getLogger(__name__)

MAX_TOKENS = 64
"""Tokens of a summary or a body in training; longer ones are cut."""

TEXTS_PER_CHUNK = 64
"""Texts of like length that go through the model together."""


@dataclass(frozen=True)
class EmbedderTraining:
    """What determines the trained weights, up to the arithmetic of the machine."""

    n_epochs: int = 1
    """Passes over the pairs."""
    pairs_per_step: int = 256
    """Pairs of a batch: each summary is told from so many bodies, and the other way round."""
    run_length: int = 4
    """Consecutive pairs of the corpus that stay together in a batch: neighbours are hard to tell."""
    rank: int = 64
    """Rank of the adapter."""
    d_out: int = 256
    """Width of the vectors."""
    temperature: float = 0.05
    """Divides the cosines."""
    lr: float = 1e-3
    """Peak learning rate (AdamW)."""
    warmup: float = 0.05
    """Part of the steps in which the rate rises; afterwards it falls along a cosine."""
    seed: int = 0
    """Seed of initialisation and order."""

    def n_steps(self, n_pairs: int) -> int:
        """Optimizer steps in all."""
        return self.n_epochs * (n_pairs // self.pairs_per_step)

    def rate(self, step: int, n_steps: int) -> float:
        """The learning rate of a step as a part of its peak."""
        done = (step + 1) / n_steps
        return min(done / self.warmup, 0.5 * (1 + float(np.cos(np.pi * done))) + 1e-3)

    def batch(self, step: int, n_pairs: int) -> npt.NDArray[np.int64]:
        """The pairs of a step: runs of neighbours, in an order of the epoch's own."""
        epoch, place = divmod(step, n_pairs // self.pairs_per_step)
        generator = np.random.default_rng([self.seed, epoch])
        pairs = np.roll(np.arange(n_pairs), -int(generator.integers(self.run_length)))
        runs = pairs[: n_pairs // self.run_length * self.run_length].reshape(-1, self.run_length)
        per_step = self.pairs_per_step // self.run_length
        chosen = generator.permutation(runs)[place * per_step : (place + 1) * per_step]
        return np.asarray(chosen.ravel())


def pooled(trunk: Any, texts: Sequence[Ids]) -> Tensor:
    """The mean last hidden state of each text [n_texts, d_model], computed in chunks of like length.

    Attention is causal and padding is on the right, so that no mask is needed before pooling.
    """
    order = np.argsort([len(text) for text in texts], kind="stable")
    means = []
    for first in range(0, len(order), TEXTS_PER_CHUNK):
        chunk = [texts[index] for index in order[first : first + TEXTS_PER_CHUNK]]
        lengths = torch.tensor([len(text) for text in chunk])
        rows = np.full((len(chunk), int(lengths.max())), PAD_ID, dtype=np.int64)
        for row, text in zip(rows, chunk, strict=True):
            row[: len(text)] = text
        states = trunk(input_ids=torch.from_numpy(rows), use_cache=False).last_hidden_state.float()
        mask = torch.arange(rows.shape[1]) < lengths[:, None]
        means.append((states * mask[..., None]).sum(1) / lengths[:, None])
    return torch.cat(means)[torch.from_numpy(np.argsort(order))]


def contrast(summaries: Tensor, bodies: Tensor, temperature: float) -> Tensor:
    """InfoNCE (van den Oord, Li and Vinyals 2018) both ways: each finds its other half in the batch."""
    scores = nn.functional.normalize(summaries, dim=-1) @ nn.functional.normalize(bodies, dim=-1).T
    truth = torch.arange(len(scores))
    both = [nn.functional.cross_entropy(side / temperature, truth) for side in (scores, scores.T)]
    return (both[0] + both[1]) / 2


class EmbedderRun:
    """A training run that can be stopped and taken up again."""

    def __init__(
        self,
        training: EmbedderTraining,
        language_model: Path,
        summaries: Sequence[Ids],
        bodies: Sequence[Ids],
        bfloat16: bool = False,
    ) -> None:
        self.training, self.bfloat16 = training, bfloat16
        self.summaries = [text[:MAX_TOKENS] for text in summaries]
        self.bodies = [text[:MAX_TOKENS] for text in bodies]
        torch.manual_seed(training.seed)
        self.trunk: Any = adapted(load_model(language_model), training.rank)
        d_model = self.trunk.config.hidden_size
        self.projection = nn.Linear(d_model, training.d_out)
        nn.init.orthogonal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.optimizer = torch.optim.AdamW(list(self._trained().values()), lr=training.lr, weight_decay=0.01)
        self.step = 0

    def _trained(self) -> dict[str, nn.Parameter]:
        """The parameters that change, by name."""
        adapter = {name: value for name, value in self.trunk.named_parameters() if value.requires_grad}
        return {**adapter, **{f"projection.{n}": v for n, v in self.projection.named_parameters()}}

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        checkpoint = load_checkpoint(path)
        if checkpoint is None:
            return
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(checkpoint.tensors[name])
        restore_optimizer(self.optimizer, checkpoint.tensors, "adam")
        self.step = checkpoint.progress["step"]
        log.info("going on at step %d", self.step)

    def _save(self, path: Path) -> None:
        tensors = {name: value.detach() for name, value in self._trained().items()}
        save_checkpoint(path, {**tensors, **optimizer_tensors(self.optimizer, "adam")}, {"step": self.step})

    def train(self, checkpoint: Path) -> None:
        """Take the steps that are left."""
        n_steps = self.training.n_steps(len(self.summaries))
        meter, timer = Meter(n_steps, self.training.pairs_per_step, 10, "pairs"), Timer(INTERVAL_S)
        self.trunk.train()
        while self.step < n_steps:
            loss = self._take_step(n_steps)
            meter.add(self.step, loss)
            if timer.due() or self.step == n_steps:
                self._save(checkpoint)
        self.trunk.eval()

    def _take_step(self, n_steps: int) -> float:
        chosen = self.training.batch(self.step, len(self.summaries))
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.lr * self.training.rate(self.step, n_steps)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            both = [pooled(self.trunk, [side[i] for i in chosen]) for side in (self.summaries, self.bodies)]
        loss = contrast(self.projection(both[0]), self.projection(both[1]), self.training.temperature)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def export(self, directory: Path, base_model: str) -> None:
        """Write the model directory: adapter and projection in float16, and the base model's place."""
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {n: v.detach().half().contiguous() for n, v in self.projection.named_parameters()}
        save_file(tensors, directory / "projection.safetensors")
        description = {"base_model": base_model, "adapter": True, "projection": True}
        (directory / "embedder.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        for config in self.trunk.peft_config.values():
            config.base_model_name_or_path = Path(base_model).name  # peft notes where it lay on this machine
        self.trunk.half().save_pretrained(directory / "lora_adapters")
        self.trunk.float()
        (directory / "lora_adapters" / "README.md").unlink(missing_ok=True)  # an empty form


def adapted(model: Any, rank: int) -> Any:
    """The model's trunk with a fresh LoRA adapter on every linear layer; nothing else is trained."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(model.model, config)

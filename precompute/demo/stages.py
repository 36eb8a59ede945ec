"""The stages that reproduce the demo's weights; each reads what the ones before it left behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from precompute.demo.activations import HOOK_NAME, N_CTX, open_activations, truncated, write_activations
from precompute.demo.language_model import N_CTX as LM_N_CTX
from precompute.demo.language_model import load_model, mean_loss, save_model
from precompute.demo.language_training import LanguageRun, LanguageTraining
from precompute.demo.quality import SAEQuality, measure, sample_texts, split_model
from precompute.demo.sae_export import Storage, TopKSAE, save_sae, stored
from precompute.demo.sae_training import SAERun, SAETraining, SAEWeights
from precompute.demo.token_rows import IGNORED, Ids, Rows, chunk_documents, join_documents
from precompute.demo.tokenizer import D_VOCAB, load_tokenizer
from precompute.demo.trigram import fit_trigrams
from precompute.demo.workspace import Workspace

log = logging.getLogger(__name__)

N_ROWS_WATCHED = 512
"""Held-out rows on which the loss is followed during training."""

N_ROWS_COMPARED = 1024
"""Held-out rows on which the storage of the large SAE is chosen."""

MAX_STORAGE_LOSS = 0.005
"""Largest drop in the loss recovered at which weights of one byte are preferred."""

PROMPTS = (
    "Return the",
    "Compute the shortest path between",
    "Parameters\n----------\nx : array_like\n",
    "Raised when",
)
"""Beginnings of the samples in the model card."""


@dataclass(frozen=True)
class Options:
    """What the command line settles."""

    tokens: int
    """Training tokens of the language model."""
    activation_rows: int
    """Activations kept for the SAEs, about."""
    full_rows: int
    """Training rows of the Full SAE."""
    ultra_rows: int
    """Training rows of the Ultra SAE."""
    device: str
    """Device of the language model: cpu or cuda."""
    workers: int
    """Processes that parse sources."""
    bfloat16: bool
    """Whether the language model's matrix products are in bfloat16."""
    compile: bool
    """Whether the language model goes through torch.compile."""

    def saes(self) -> dict[str, SAETraining]:
        """Return the trainings of both SAEs by name."""
        return {
            "full": SAETraining(d_sae=2048, n_rows=self.full_rows, lr=1e-3),
            "ultra": SAETraining(d_sae=24576, n_rows=self.ultra_rows, lr=7e-4),
        }


def train_tokenizer(space: Workspace, options: Options) -> None:
    """Take the corpus, split it and train the tokenizer."""
    space.prepare_texts(options.workers)
    space.prepare_tokenizer()


def train_lm(space: Workspace, options: Options) -> None:
    """Train the language model."""
    documents = space.documents("train")
    shuffled = np.random.default_rng(0).permutation(len(documents))
    stream = join_documents([documents[index] for index in shuffled])
    held_out = _shuffled(chunk_documents(space.documents("held_out"), LM_N_CTX))[:N_ROWS_WATCHED]
    run = LanguageRun(LanguageTraining(options.tokens), stream, options.device, options.bfloat16)
    run.restore(space.checkpoint("lm"))
    if options.compile:
        run.forward = torch.compile(run.model)
    save_model(run.train(space.checkpoint("lm"), held_out, space.language_model), space.language_model)


def capture_activations(space: Workspace, options: Options) -> None:
    """Write the activations that both SAEs are trained on, once."""
    if space.activations.exists():
        return
    rows = _shuffled(chunk_documents(space.documents("train"), N_CTX))
    n_rows = int(options.activation_rows / np.mean((rows[:, 1:] != IGNORED).sum(1))) + 1
    trunk = truncated(load_model(space.language_model)).to(options.device)
    write_activations(trunk, rows[:n_rows], space.activations, options.bfloat16)


def train_sae_full(space: Workspace, options: Options) -> None:
    """Train the Full SAE."""
    _train_sae(space, options, "full", "float16")


def train_sae_ultra(space: Workspace, options: Options) -> None:
    """Train the Ultra SAE."""
    _train_sae(space, options, "ultra", "int8")


def _train_sae(space: Workspace, options: Options, name: str, storage: Storage) -> None:
    """Train one SAE on the captured activations and save it."""
    training = options.saes()[name]
    run = SAERun(training, open_activations(space.activations))
    run.restore(space.checkpoint(name))
    sae = exported(run.train(space.checkpoint(name)), training.k)
    save_sae(sae, space.sae(name), HOOK_NAME, storage)


def exported(weights: SAEWeights, k: int) -> TopKSAE:
    """Return trained weights as an SAE of the unscaled activations: acts and biases grow by the scale."""
    scale = np.float32(weights.scale)
    return TopKSAE(
        W_enc=np.ascontiguousarray(weights.encoder.T),
        W_dec=weights.decoder,
        b_enc=weights.b_enc[:, 0] * scale,
        b_dec=weights.b_dec[0] * scale,
        k=k,
    )


def evaluate(space: Workspace, options: Options) -> None:
    """Choose the storage of the large SAE, measure everything on held-out texts, write the report."""
    trained = _trained(space, options)
    rows = _shuffled(chunk_documents(space.documents("held_out"), N_CTX))
    mean = _activation_mean(space)
    model = split_model(space.language_model)
    variants = {"exact": trained["ultra"], "int8": stored(trained["ultra"], "int8")}
    compared = measure(model, variants, rows[:N_ROWS_COMPARED], mean)
    drop = compared["exact"].recovered - compared["int8"].recovered
    storage: Storage = "int8" if drop < MAX_STORAGE_LOSS else "float16"
    log.info("int8 costs %.5f of the loss recovered: storing %s", drop, storage)
    save_sae(trained["ultra"], space.sae("ultra"), HOOK_NAME, storage)
    saes = {"full": stored(trained["full"], "float16"), "ultra": stored(trained["ultra"], storage)}
    quality = measure(model, saes, rows, mean)
    log.info("quality: %s", {name: entry.as_json() for name, entry in quality.items()})
    _write_report(space, quality, drop)


def _write_report(space: Workspace, quality: dict[str, SAEQuality], drop: float) -> None:
    """Write the figures of the model card as JSON."""
    packages = _held_out_packages(space)
    model, n_tokens = load_model(space.language_model), {p: sum(map(len, d)) for p, d in packages.items()}
    losses = {package: mean_loss(model, chunk_documents(own, LM_N_CTX)) for package, own in packages.items()}
    trigrams = fit_trigrams(space.documents("train"), D_VOCAB)
    report = {
        "trigram_ce": trigrams.cross_entropy(space.documents("held_out")),
        "lm_ce": sum(losses[p] * n_tokens[p] for p in packages) / sum(n_tokens.values()),
        "packages": losses,
        "int8_drop": drop,
        "saes": {name: entry.as_json() for name, entry in quality.items()},
        "samples": sample_texts(space.language_model, load_tokenizer(space.language_model), PROMPTS, 120),
    }
    space.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    log.info("report: %s", json.dumps(report))


def _held_out_packages(space: Workspace) -> dict[str, list[Ids]]:
    """Return the token ids of the held-out texts by package."""
    by_package: dict[str, list[Ids]] = {}
    packages = pl.read_parquet(space.texts("held_out"))["package"].to_list()
    for package, document in zip(packages, space.documents("held_out"), strict=True):
        by_package.setdefault(package, []).append(document)
    return by_package


def _trained(space: Workspace, options: Options) -> dict[str, TopKSAE]:
    """Return both SAEs from their last checkpoints, in float32."""
    data, saes = open_activations(space.activations), {}
    for name, training in options.saes().items():
        run = SAERun(training, data)
        run.restore(space.checkpoint(name))
        saes[name] = exported(run.weights, training.k)
    return saes


def _activation_mean(space: Workspace) -> Tensor:
    """Return the mean training activation (d_in,), from the first rows: they are in random order."""
    return torch.from_numpy(open_activations(space.activations)[:500_000].astype(np.float32).mean(0))


def _shuffled(rows: Rows) -> Rows:
    """Return rows in one seeded order."""
    return np.random.default_rng(0).permutation(rows)


STAGES: dict[str, Callable[[Workspace, Options], None]] = {
    "tokenizer": train_tokenizer,
    "lm": train_lm,
    "activations": capture_activations,
    "sae_full": train_sae_full,
    "sae_ultra": train_sae_ultra,
    "evaluate": evaluate,
}
"""The stages in their order."""


def run_stages(out: Path, names: list[str], options: Options) -> None:
    """Run the named stages (all, where none is named) in their order."""
    for name, stage in STAGES.items():
        if not names or name in names:
            log.info("stage %s", name)
            stage(Workspace(out), options)

"""Reproduce the demo's embedder: `python -m precompute.demo.train_embedder --out DIR`."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

import polars as pl

from precompute.demo.embedder_pairs import summary_pairs
from precompute.demo.embedder_quality import measure
from precompute.demo.embedder_training import EmbedderRun, EmbedderTraining
from precompute.demo.machine_options import add_machine_options, begin
from precompute.demo.tokenizer import encode_texts
from precompute.demo.workspace import Workspace

LANGUAGE_MODEL = Path(__file__).with_name("language_model")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="python -m precompute.demo.train_embedder", description=__doc__)
    add_machine_options(command)
    command.add_argument(
        "--epochs", type=int, default=EmbedderTraining.n_epochs, help="passes over the pairs"
    )
    return command


def main(arguments: list[str] | None = None) -> None:
    """Train, or go on training; then write the model directory `embedder`."""
    parsed = parser().parse_args(arguments)
    begin(parsed)
    space = Workspace(parsed.out)
    space.prepare_texts(parsed.workers)
    pairs = summary_pairs(pl.read_parquet(space.texts("train")))
    logging.info("%d pairs", pairs.height)
    summaries, bodies = (encode_texts(LANGUAGE_MODEL, pairs[side].to_list()) for side in ("summary", "body"))
    training = EmbedderTraining(n_epochs=parsed.epochs)
    run = EmbedderRun(training, LANGUAGE_MODEL, summaries, bodies, parsed.bfloat16)
    run.restore(space.checkpoint("embedder"))
    run.train(space.checkpoint("embedder"))
    run.export(space.root / "embedder", base_model="../language_model")
    _report(space)


def _report(space: Workspace) -> None:
    """Measure on held-out packages, beside mean pooling of the language model alone."""
    pairs = summary_pairs(pl.read_parquet(space.texts("held_out")))
    models = {"embedder": space.root / "embedder", "language_model": LANGUAGE_MODEL}
    found = {name: asdict(measure(model, pairs)) for name, model in models.items()}
    (space.root / "embedder_report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    logging.info("%s", found)


if __name__ == "__main__":
    main()

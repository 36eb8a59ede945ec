"""Reproduce the demo's text autoencoder: `python -m precompute.demo.train_autoencoder --out DIR`.

It lands in DIR/autoencoder, beside which its language model is looked for; a sweep measures it.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import polars as pl

from precompute.demo.activations import truncated
from precompute.demo.autoencoder_rows import ActivationRows, choose_chunks, collect_rows
from precompute.demo.autoencoder_training import AutoencoderRun, AutoencoderTraining
from precompute.demo.language_model import load_model
from precompute.demo.machine_options import add_machine_options, begin
from precompute.demo.tokenizer import encode_texts
from precompute.demo.workspace import Workspace

LANGUAGE_MODEL = Path(__file__).with_name("language_model")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="python -m precompute.demo.train_autoencoder", description=__doc__)
    defaults = AutoencoderTraining
    add_machine_options(command)
    command.add_argument("--rows", type=int, default=2_000_000, help="activations to learn from")
    command.add_argument("--supervised-steps", type=int, default=defaults.supervised_steps)
    command.add_argument("--joint-steps", type=int, default=defaults.joint_steps)
    command.add_argument("--export-only", action="store_true", help="write what the last checkpoint has")
    return command


def main(arguments: list[str] | None = None) -> None:
    """Train, or go on training."""
    parsed = parser().parse_args(arguments)
    begin(parsed)
    space = Workspace(parsed.out)
    space.prepare_texts(parsed.workers)
    training = AutoencoderTraining(supervised_steps=parsed.supervised_steps, joint_steps=parsed.joint_steps)
    rows = training_rows(space, parsed.rows, training, parsed.bfloat16)
    logging.info("%d rows", len(rows))
    run = AutoencoderRun(training, LANGUAGE_MODEL, rows, parsed.bfloat16)
    run.restore(space.checkpoint("autoencoder"))
    if not parsed.export_only:
        run.train(space.checkpoint("autoencoder"))
    run.export(space.root / "autoencoder")


def training_rows(
    space: Workspace, n_rows: int, training: AutoencoderTraining, bfloat16: bool
) -> ActivationRows:
    """Activations of texts of the training part, with the tokens before them."""
    texts = pl.read_parquet(space.texts("train"))["text"].to_list()
    chunks = choose_chunks(encode_texts(LANGUAGE_MODEL, texts), n_rows, training.seed)
    trunk = truncated(load_model(LANGUAGE_MODEL))
    return collect_rows(trunk, chunks, training.n_tokens, space.activations, bfloat16)


if __name__ == "__main__":
    main()

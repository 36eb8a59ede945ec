"""Reproduce the demo's weights: `python -m precompute.demo.train --out DIR [STAGE ...]`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from precompute.demo.language_model import save_model
from precompute.demo.language_training import LanguageRun, LanguageTraining
from precompute.demo.token_rows import chunk_documents, join_documents
from precompute.demo.workspace import Workspace

log = logging.getLogger(__name__)

N_ROWS_WATCHED = 512
"""Held-out rows on which the loss is followed during training."""


def train_tokenizer(space: Workspace, options: argparse.Namespace) -> None:
    """Take the corpus, split it and train the tokenizer."""
    space.prepare_texts(options.workers)
    space.prepare_tokenizer()


def train_lm(space: Workspace, options: argparse.Namespace) -> None:
    """Train the language model."""
    documents = space.documents("train")
    shuffled = np.random.default_rng(0).permutation(len(documents))
    stream = join_documents([documents[index] for index in shuffled])
    held_out = chunk_documents(space.documents("held_out"), 256)
    watched = np.random.default_rng(0).permutation(held_out)[:N_ROWS_WATCHED]
    run = LanguageRun(LanguageTraining(options.tokens), stream, options.device, options.bfloat16)
    run.restore(space.checkpoint("lm"))
    if options.compile:
        run.forward = torch.compile(run.model)
    save_model(run.train(space.checkpoint("lm"), watched, space.language_model), space.language_model)


STAGES: dict[str, Callable[[Workspace, argparse.Namespace], None]] = {
    "tokenizer": train_tokenizer,
    "lm": train_lm,
}
"""The stages in their order; each reads what the ones before it left in the output directory."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m precompute.demo.train", description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="stages to run (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="working and output directory")
    parser.add_argument("--tokens", type=int, default=20_000_000, help="language model training tokens")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--workers", type=int, default=2, help="processes that parse sources")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch on the CPU")
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True,
                        help="matrix products of the language model in bfloat16")  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    options = parser.parse_args(arguments)
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the asked stages in order."""
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, stage in STAGES.items():
        if not options.stages or name in options.stages:
            log.info("stage %s", name)
            stage(Workspace(options.out), options)


if __name__ == "__main__":
    main()

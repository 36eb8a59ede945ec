"""What every training script is told of the machine that it runs on."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch


def add_machine_options(command: argparse.ArgumentParser) -> None:
    """Add the working directory, processes, threads and the type of matrix products."""
    command.add_argument("--out", type=Path, required=True, help="working and output directory")
    command.add_argument("--workers", type=int, default=2, help="processes that parse sources")
    command.add_argument("--threads", type=int, default=2, help="CPU threads of torch and of the kernels")
    command.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the language model's matrix products in bfloat16 (twice as fast where the CPU has AVX512-BF16)",
    )


def begin(parsed: argparse.Namespace) -> None:
    """Log to the terminal, and use as many threads as were asked for."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(parsed.threads)

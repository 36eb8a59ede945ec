"""What the commands of embeddings take: their options."""

from __future__ import annotations

import os
from pathlib import Path

from precompute.command_line import CommandParser, positive
from precompute.corpus.subsets import SIZES
from precompute.embeddings.encoder import DEFAULT_MAX_LENGTH, DTYPES
from precompute.embeddings.model_directory import DEFAULT_MODEL, POOLINGS
from precompute.embeddings.operations import SHARD_TEXTS

MODULE = "precompute.embeddings"
POOLINGS_OF_SETS = tuple(name for name in POOLINGS if name != "logits")
"""Vectors as wide as a vocabulary are for density weights alone."""


def compute_parser() -> CommandParser:
    """The options of computing."""
    options = CommandParser(
        prog=f"python -m {MODULE}",
        description="Embed a dataset with a model directory. Also: import, search, map, demo.",
    )
    add = options.add_argument
    add_set(options)
    add("--all-sizes", action="store_true", help="every size, from toy to full")
    add(
        "--dataset",
        type=Path,
        metavar="FILE",
        help="jsonl, json, csv, parquet or txt (default: documentation)",
    )
    add("--text-column", default="text", metavar="NAME", help="the field that holds the text")
    add(
        "--pooling",
        choices=POOLINGS_OF_SETS,
        help="how token states become one vector (default: the model's own, or mean)",
    )
    add("--no-normalize", action="store_true", help="keep the vectors' lengths")
    add(
        "--max-length",
        type=positive,
        default=DEFAULT_MAX_LENGTH,
        metavar="N",
        help="tokens of a text at most",
    )
    add("--dtype", choices=DTYPES, default="auto", help="type in which the model runs")
    add("--vectors-dtype", choices=("float32", "float16"), default="float32", help="type of embeddings.npy")
    add("--token-budget", type=budget, default=None, metavar="auto|N", help="tokens in a batch, with padding")
    add("--batch-size", type=positive, metavar="N", help="texts in a batch, instead of a token budget")
    add(
        "--shard-size",
        type=positive,
        default=SHARD_TEXTS,
        metavar="N",
        help="texts of a shard, which a killed run keeps",
    )
    add("--gpus", metavar="auto|N", help="start one process a GPU, through torchrun")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs")
    add(
        "--workers",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that read documentation",
    )
    add("--revision", metavar="NAME", help="revision of a model from the hub")
    add("--allow-legacy-weights", action="store_true", help="read .pt and .bin weights, tensors alone")
    add("--force", action="store_true", help="compute again what is fresh")
    add("--status", action="store_true", help="say what is fresh, stale, missing or corrupt")
    add("--json", action="store_true", help="with --status: as JSON")
    add("--verify", action="store_true", help="read every file, name and mark what is damaged (exit code 1)")
    return options


def add_set(options: CommandParser) -> None:
    """The options that name a set."""
    add = options.add_argument
    add(
        "--model-dir",
        default=str(DEFAULT_MODEL),
        metavar="DIR",
        help="model directory or hub id (default: the demo's)",
    )
    add("--dataset-size", choices=tuple(SIZES), default="toy", help="how many texts: 100, 1k, 10k, 50k, all")
    add("--data-dir", type=Path, metavar="DIR", help="keep embeddings there rather than beside the model")


def search_parser() -> CommandParser:
    """The options of `search`."""
    options = CommandParser(prog=f"python -m {MODULE} search", description="Find texts by meaning.")
    options.add_argument("text", help="what to look for")
    add_set(options)
    options.add_argument("--k", type=positive, default=10, metavar="N", help="texts to find")
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs"
    )
    options.add_argument("--json", action="store_true", help="one JSON object a line, with all metadata")
    return options


def map_parser() -> CommandParser:
    """The options of `map`."""
    from precompute.embeddings.map import MapSettings

    chosen = MapSettings()
    options = CommandParser(
        prog=f"python -m {MODULE} map", description="Draw the map of a set, and its clusters."
    )
    add_set(options)
    add = options.add_argument
    add("--neighbors", type=positive, default=chosen.neighbors, metavar="N", help="nearest vectors a vector")
    add("--epochs", type=positive, default=chosen.epochs, metavar="N", help="epochs of the layout")
    add(
        "--min-cluster-size",
        type=positive,
        default=chosen.min_cluster_size,
        metavar="N",
        help="texts of a cluster",
    )
    add("--seed", type=int, default=chosen.seed, metavar="N", help="seed of the layout and of its sample")
    add(
        "--largest",
        type=positive,
        default=chosen.largest,
        metavar="N",
        help="texts that are laid out together; of more, a sample that keeps sparse regions",
    )
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="threads")
    add("--force", action="store_true", help="compute again what is fresh")
    return options


def budget(text: str) -> int | None:
    """The type of `--token-budget`: None is for the device to say."""
    return None if text == "auto" else positive(text)

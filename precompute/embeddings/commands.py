"""What the command line of embeddings offers: compute, search, map, import, demo."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

from precompute.command_line import CommandParser
from precompute.corpus.subsets import SIZES
from precompute.embeddings.embedding_set import EmbeddingSet, SetSettings
from precompute.embeddings.operations import Operations
from precompute.embeddings.options import MODULE, compute_parser, map_parser, search_parser

SNIPPET = 100
"""Characters of a text in the list of what was found."""


def compute(argv: list[str]) -> int:
    """Bring embeddings up to date, or say how they are."""
    arguments = compute_parser().parse_args(argv)
    sizes = list(SIZES) if arguments.all_sizes else [arguments.dataset_size]
    if arguments.status:
        return _show_status(arguments, sizes)
    if arguments.verify:
        return _verify(arguments, sizes)
    settings = _settings(arguments)
    if arguments.gpus:
        from precompute.executors.ranks import n_processes, start_processes

        n = n_processes(arguments.gpus, arguments.device)
        _check_inputs(arguments, settings)
        if n > 1:
            return start_processes(MODULE, n, _without_gpus(argv))
    return _compute(arguments, sizes, settings)


def _compute(arguments: argparse.Namespace, sizes: list[str], settings: SetSettings) -> int:
    from precompute.embeddings import compute as job
    from precompute.executors.ranks import Ranks
    from precompute.progress import Silent, TerminalBar

    ranks = Ranks.of_environment()
    operations = Operations(
        device=arguments.device,
        batch_size=arguments.batch_size,
        token_budget=arguments.token_budget,
        shard_texts=arguments.shard_size,
        workers=arguments.workers,
    )
    ranks.open()
    try:
        outcomes = job.compute(
            arguments.model_dir,
            sizes,
            settings,
            operations,
            arguments.data_dir,
            force=arguments.force,
            ranks=ranks,
            progress=lambda size: TerminalBar(size) if ranks.leads else Silent(),
        )
    finally:
        ranks.close()
    for outcome in outcomes:
        directory = EmbeddingSet(arguments.model_dir, outcome.size, arguments.data_dir).directory
        print(f"{outcome.in_words()} ({outcome.seconds:.1f} s); {directory}", file=sys.stderr)
    return 0


def _settings(arguments: argparse.Namespace) -> SetSettings:
    return SetSettings(
        dataset=str(arguments.dataset.absolute()) if arguments.dataset else None,
        text_column=arguments.text_column,
        pooling=arguments.pooling,
        normalize=not arguments.no_normalize,
        max_length=arguments.max_length,
        dtype=arguments.dtype,
        vectors_dtype=arguments.vectors_dtype,
        revision=arguments.revision,
        allow_legacy_weights=arguments.allow_legacy_weights,
    )


def _check_inputs(arguments: argparse.Namespace, settings: SetSettings) -> None:
    """Find what is wrong with model or dataset before processes are started."""
    settings.files(arguments.model_dir)
    dataset = EmbeddingSet(arguments.model_dir, "toy", arguments.data_dir).dataset(settings)
    dataset.check()
    dataset.ensure(arguments.workers)
    dataset.read("toy")


def _without_gpus(argv: list[str]) -> list[str]:
    """The arguments for the processes that are started."""
    kept, skip = [], False
    for argument in argv:
        if skip:
            skip = False
        elif argument == "--gpus":
            skip = True
        elif not argument.startswith("--gpus="):
            kept.append(argument)
    return kept


def _show_status(arguments: argparse.Namespace, sizes: list[str]) -> int:
    from precompute.embeddings.freshness import Freshness

    records = []
    for size in sizes:
        embedded = EmbeddingSet(arguments.model_dir, size, arguments.data_dir)
        for status in Freshness(embedded).statuses():
            records.append({"dataset_size": size, **dataclasses.asdict(status)})
    if arguments.json:
        print(json.dumps(records, indent=1))
        return 0
    for record in records:
        named = f"{record['dataset_size']:<7s}{record['step']:<11s}{record['state']:<8s}"
        print(f"{named} {record['reason']}".rstrip())
    return 0


def _verify(arguments: argparse.Namespace, sizes: list[str]) -> int:
    from precompute.embeddings.freshness import STEPS

    n_read = n_damaged = 0
    for size in sizes:
        shelf = EmbeddingSet(arguments.model_dir, size, arguments.data_dir).shelf
        for step in STEPS:
            if not shelf.pointer(step).is_symlink():
                continue
            found = shelf.verify(step)
            n_read, n_damaged = n_read + 1, n_damaged + bool(found)
            for line in found:
                print(f"{size}/{step}: {line}")
    print(f"{n_read} artifacts read, {n_damaged} damaged", file=sys.stderr)
    return 1 if n_damaged else 0


def search(argv: list[str]) -> int:
    """Print the texts nearest in meaning to a query."""
    arguments = search_parser().parse_args(argv)
    from precompute.embeddings.search import query_encoder
    from precompute.embeddings.search import search as find

    embedded = EmbeddingSet(arguments.model_dir, arguments.dataset_size, arguments.data_dir)
    embedded.manifest()
    found = find(embedded, arguments.text, arguments.k, query_encoder(embedded, arguments.device))
    if arguments.json:
        print(found.write_ndjson(), end="")
        return 0
    for hit in found.iter_rows(named=True):
        text = " ".join(hit["text"].split())
        print(f"{hit['rank'] + 1:>3d} {hit['cosine']:7.4f} {hit['row']:>8d}  {text[:SNIPPET]}")
    return 0


def draw_map(argv: list[str]) -> int:
    """Compute the neighbour graph and the map of embeddings that are there."""
    from precompute.embeddings.map import MapSettings, compute_map
    from precompute.progress import TerminalBar

    arguments = map_parser().parse_args(argv)
    settings = MapSettings(**{one.name: getattr(arguments, one.name) for one in fields(MapSettings)})
    embedded = EmbeddingSet(arguments.model_dir, arguments.dataset_size, arguments.data_dir)
    done = compute_map(embedded, settings, arguments.workers, arguments.force, TerminalBar("map"))
    print(f"{', '.join(done) or 'nothing'} computed; {embedded.directory}", file=sys.stderr)
    return 0


def import_folder(argv: list[str]) -> int:
    """Convert a folder of pickled weights and embeddings, once."""
    from precompute.embeddings.legacy_folder import convert

    options = CommandParser(
        prog=f"python -m {MODULE} import", description="Convert a folder of .pt and .bin files."
    )
    options.add_argument(
        "directory", type=Path, metavar="DIR", help="the model directory to convert in place"
    )
    options.add_argument(
        "--allow-legacy-weights", action="store_true", help="read the pickles, tensors alone"
    )
    arguments = options.parse_args(argv)
    for line in convert(arguments.directory, arguments.allow_legacy_weights):
        print(line, file=sys.stderr)
    return 0


def write_demo(argv: list[str]) -> int:
    """Copy the demo's embedder to a model directory of the user's own."""
    from precompute.embeddings.demo_directory import write

    options = CommandParser(
        prog=f"python -m {MODULE} demo", description="Make a model directory of the demo."
    )
    options.add_argument("directory", type=Path, metavar="DIR", help="the directory to make")
    arguments = options.parse_args(argv)
    write(arguments.directory)
    print(f"{arguments.directory}: base model, LoRA adapter and projection", file=sys.stderr)
    return 0


COMMANDS: Mapping[str, Callable[[list[str]], int]] = MappingProxyType(
    {"import": import_folder, "search": search, "map": draw_map, "demo": write_demo}
)
"""The commands by their names; without a name it is `compute`."""

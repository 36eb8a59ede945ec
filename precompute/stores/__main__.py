"""The commands `python -m precompute.stores convert|copy|import SRC DST`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from precompute.command_line import CommandParser, positive, run_command
from precompute.progress import Progress, TerminalBar
from precompute.stores.arrays import BACKENDS
from precompute.stores.convert import convert
from precompute.stores.copying import copy
from precompute.stores.importing import import_store
from precompute.stores.layout import StoreInfo
from precompute.stores.places import place


def parser() -> CommandParser:
    """The options of the commands."""
    made = CommandParser(prog="python -m precompute.stores", description="Work on activation stores.")
    commands = made.add_subparsers(dest="command", required=True)
    converted = commands.add_parser("convert", help="write a store of either layout, with another backend")
    converted.add_argument("--backend", choices=sorted(BACKENDS), help="backend to write; else that of SRC")
    copied = commands.add_parser("copy", help="copy tables, stores or a model type's directory byte for byte")
    for command in (converted, copied):
        command.add_argument("source", type=place, metavar="SRC", help="a directory or a URL (s3://…)")
        command.add_argument("target", type=place, metavar="DST", help="what to write; must not exist")
        command.add_argument(
            "--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="parts at a time"
        )
    imported = commands.add_parser("import", help="write the store of another program as a row-major one")
    imported.add_argument("source", type=Path, metavar="SRC", help="neuron_acts folders, or Zarr batches")
    imported.add_argument("target", type=_directory, metavar="DST", help="directory to write; must not exist")
    imported.add_argument("--backend", choices=sorted(BACKENDS), default="npy", help="backend to write")
    imported.add_argument("--metadata", type=Path, metavar="FILE", help="Parquet or jsonl, a row an example")
    imported.add_argument("--tokens-column", metavar="NAME", help="its column of lists of token ids")
    return made


def _directory(text: str) -> Path:
    """The type of an option that names a directory of this machine."""
    if isinstance(place(text), Path):
        return Path(text)
    raise argparse.ArgumentTypeError(f"{text} is a URL; import to a directory, then copy that")


def main(argv: list[str]) -> int:
    """Convert, copy or import what the arguments name."""
    arguments = parser().parse_args(argv)
    bar = TerminalBar(arguments.command)
    try:
        done = COMMANDS[arguments.command](arguments, bar)
    finally:
        bar.close()
    print(f"{arguments.target}: {done}")
    return 0


def _convert(given: argparse.Namespace, bar: Progress) -> str:
    return _described(convert(given.source, given.target, given.backend, given.workers, bar))


def _copy(given: argparse.Namespace, bar: Progress) -> str:
    return f"{copy(given.source, given.target, given.workers, bar) / 1e6:,.1f} MB"


def _import(given: argparse.Namespace, bar: Progress) -> str:
    made = import_store(given.source, given.target, given.backend, given.metadata, given.tokens_column, bar)
    return _described(made)


def _described(info: StoreInfo) -> str:
    return f"{info.n_rows:,} rows, {info.n_nonzero:,} non-zeros, {info.backend}"


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Progress], str]] = MappingProxyType(
    {"convert": _convert, "copy": _copy, "import": _import}
)

if __name__ == "__main__":
    sys.exit(run_command(main))

"""The command `python -m precompute.stores convert SRC DST --backend zarr|npy`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from precompute.command_line import CommandParser, run_command
from precompute.progress import TerminalBar
from precompute.stores.arrays import BACKENDS
from precompute.stores.convert import convert


def main(argv: list[str]) -> int:
    """Convert the store that the arguments name."""
    parser = CommandParser(prog="python -m precompute.stores", description="Work on activation stores.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("convert", help="write a store of either layout with another backend")
    command.add_argument("source", type=Path, metavar="SRC", help="directory of the store to read")
    command.add_argument("target", type=Path, metavar="DST", help="directory to write; must not exist")
    command.add_argument("--backend", choices=sorted(BACKENDS), required=True, help="backend to write")
    command.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="parts copied at the same time"
    )
    arguments = parser.parse_args(argv)
    bar = TerminalBar("convert")
    try:
        info = convert(arguments.source, arguments.target, arguments.backend, arguments.workers, bar)
    finally:
        bar.close()
    print(f"{arguments.target}: {info.n_rows:,} rows, {info.n_nonzero:,} non-zeros, {info.backend}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

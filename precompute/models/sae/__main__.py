"""The command `python -m precompute.models.sae SAE`: what it is, converted or fetched where it must be."""

from __future__ import annotations

import sys
from pathlib import Path

from precompute.command_line import CommandParser, run_command
from precompute.errors import SAEFormatError, StoreError
from precompute.models.legacy import OPTION
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.registry import make_readable, read_header


def main(argv: list[str]) -> int:
    """Describe the SAE that the arguments name, and write it elsewhere where they ask for that."""
    parser = CommandParser(
        prog="python -m precompute.models.sae",
        description="Say what an SAE is; one in a pickle is converted once, a published one fetched once.",
    )
    parser.add_argument("sae", metavar="SAE", help="a directory or file, a hub id, or sae_lens:RELEASE/ID")
    parser.add_argument(OPTION, action="store_true", help="read a pickle, tensors alone, and convert it")
    parser.add_argument("--to", type=Path, metavar="DIR", help="also write it there, in Lightwell's format")
    arguments = parser.parse_args(argv)
    make_readable(arguments.sae, arguments.allow_legacy_weights)
    header = read_header(arguments.sae)
    if arguments.to is not None:
        save_copy(arguments.sae, arguments.to)
    print(description(header))
    return 0


def description(header: SAEHeader) -> str:
    """One line: architecture, widths and capture site."""
    kept = f", k = {header.k}" if header.k else ""
    site = header.hook_name or "a site that its files do not say"
    widths = f"{header.d_sae:,} features of {header.d_in:,} dimensions"
    return f"{header.format}: {header.architecture}{kept}, {widths}, on {site}"


def save_copy(sae: str, target: Path) -> None:
    """Write an SAE in this project's format, whole or not at all; raises SAEFormatError where one is."""
    from precompute.models.sae.lightwell_format import save
    from precompute.models.sae.registry import load_sae
    from precompute.stores.layout import new_store

    loaded = load_sae(sae)
    try:
        with new_store(target) as staging:
            save(staging, loaded.header, loaded.weights, "float32")
    except StoreError as error:
        raise SAEFormatError(error.found, error.expected, error.remedy) from None


if __name__ == "__main__":
    sys.exit(run_command(main))

"""The command `python -m precompute.export`: tables, pages without a server, Neuronpedia's batches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl

from precompute.command_line import CommandParser, positive, run_command
from precompute.errors import UsageError
from precompute.export.files import FORMATS
from precompute.export.static_page import feature_numbers
from precompute.pipeline.registry import steps
from precompute.reading import Artifacts, open_artifacts
from precompute.stores.layout import new_store


def parser() -> CommandParser:
    """The options of the command."""
    options = CommandParser(prog="python -m precompute.export", description="Write artifacts as files.")
    commands = options.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="any table as CSV or Parquet")
    table.add_argument("name", metavar="NAME", help="such as influences; docs/artifacts.md lists them")
    table.add_argument("--features", type=_features, metavar="A,B:C", help="only the rows of these features")
    page = commands.add_parser("page", help="features as one HTML file that opens without a server")
    page.add_argument("--features", type=_features, metavar="A,B:C", help="these features; without it, all")
    page.add_argument("--examples", type=positive, default=5, metavar="N", help="texts of each feature")
    site = commands.add_parser("neuronpedia", help="a whole SAE in Neuronpedia's upload format")
    site.add_argument("--model-id", required=True, metavar="ID", help="the site's name of the model")
    site.add_argument("--layer", required=True, type=int, metavar="N", help="the layer of the SAE")
    site.add_argument("--sae-set", required=True, metavar="NAME", help="the name of the source set")
    site.add_argument("--sae-id-suffix", metavar="NAME", help="where the set has several SAEs of a layer")
    site.add_argument("--dataset", default="", metavar="NAME", help="what to name as the texts' origin")
    site.add_argument(
        "--features-per-batch", type=positive, default=128, metavar="N", help="features in one file"
    )
    for command in (table, page, site):
        command.add_argument("--model-type", required=True, metavar="NAME", help="the model type")
        command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with model types")
        command.add_argument("--data-dir", type=Path, metavar="DIR", help="data directory")
        command.add_argument("--to", type=Path, required=True, metavar="PATH", help="what to write")
    return options


def main(argv: list[str]) -> int:
    """Write what the arguments name; returns the exit code."""
    arguments = parser().parse_args(argv)
    artifacts = open_artifacts(arguments.model_type, arguments.data_dir, arguments.config)
    if not arguments.to.absolute().parent.is_dir():
        raise UsageError(f"no directory {arguments.to.parent}", "an existing one", "correct --to")
    if arguments.command in ("table", "page") and arguments.to.is_dir():
        raise UsageError(f"--to {arguments.to}, a directory", "a file", "name one in it")
    writers = {"table": write_table, "page": write_page, "neuronpedia": write_batches}
    print(f"{arguments.to}: {writers[arguments.command](artifacts, arguments)}")
    return 0


def write_table(artifacts: Artifacts, arguments: argparse.Namespace) -> str:
    """Write a table in the format that the file's ending names; raises UsageError for an unknown one."""
    ending = arguments.to.suffix.removeprefix(".")
    if ending not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise UsageError(f"--to {arguments.to}", f"an ending of {known}", "choose another name")
    table = artifacts.table(known_table(arguments.name))
    if arguments.features is not None:
        if "feature" not in table.columns:
            raise UsageError(
                f"--features with the table {arguments.name}", "a table of features", "leave it out"
            )
        table = table.filter(pl.col("feature").is_in(arguments.features))
    staging = arguments.to.with_name(f".tmp-{arguments.to.name}")
    try:
        with staging.open("wb") as file:
            file.writelines(FORMATS[ending].pieces(table))
        staging.replace(arguments.to)
    finally:
        staging.unlink(missing_ok=True)
    return f"{table.height:,} rows of {table.width} columns"


def known_table(name: str) -> str:
    """The name itself; raises UsageError with those that there are for another."""
    outputs = [output for step in steps().values() for output in step.outputs]
    tables = [output.removesuffix(".parquet") for output in outputs if output.endswith(".parquet")]
    if name.removesuffix(".parquet") not in tables:
        raise UsageError(f"no table {name!r}", f"one of {', '.join(tables)}", "correct the name")
    return name.removesuffix(".parquet")


def write_page(artifacts: Artifacts, arguments: argparse.Namespace) -> str:
    """Write features as one HTML file."""
    from precompute.export.static_page import export

    size = export(artifacts, arguments.features, arguments.to, arguments.examples)
    return f"{size / 1e6:.1f} MB; open it in a browser"


def write_batches(artifacts: Artifacts, arguments: argparse.Namespace) -> str:
    """Write an SAE in Neuronpedia's format into a directory that is empty or not there."""
    from precompute.export.neuronpedia import Target, export

    if arguments.to.exists() and (not arguments.to.is_dir() or any(arguments.to.iterdir())):
        raise UsageError(f"{arguments.to} exists", "an empty directory", "choose another with --to")
    target = Target(
        arguments.model_id, arguments.layer, arguments.sae_set, arguments.sae_id_suffix, arguments.dataset
    )
    with new_store(arguments.to) as staging:
        n_features = export(artifacts, target, staging, arguments.features_per_batch)
    return f"{n_features:,} features in batches of {arguments.features_per_batch}"


def _features(text: str) -> list[int]:
    try:
        found = feature_numbers(text)
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of features such as 3,7 or 0:256")
    return found


if __name__ == "__main__":
    sys.exit(run_command(main))

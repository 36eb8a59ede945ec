"""What `python -m precompute.density` and its subcommands take and do."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from precompute.artifacts.digests import DigestCache
from precompute.artifacts.shelf import Shelf
from precompute.command_line import CommandParser, positive
from precompute.config import Config, load_config
from precompute.density.merge import common_k, common_weight_settings, joined_embeddings
from precompute.density.neighbors import SearchSettings
from precompute.density.plan import Resources, Source, compute, embeddings_of, statuses, weights_from
from precompute.density.preferences import (
    BUILTIN,
    Count,
    builtin_pairs,
    read_pairs,
    write_pairs,
    write_records,
)
from precompute.density.prompts import distinct_prompts, read_prompts
from precompute.density.report import LABELS, describe, warn_of_size
from precompute.density.weights import WeightSettings
from precompute.embeddings.encoder import DEFAULT_MAX_LENGTH, DTYPES, EncoderOptions
from precompute.embeddings.model_directory import POOLINGS, find_files
from precompute.errors import UsageError
from precompute.pipeline.preflight import check_writable
from precompute.pipeline.stages import Wanted
from precompute.pipeline.subjects import data_directory
from precompute.pipeline.terminal import TerminalStages

PAIRS_FILE, PROMPTS_FILE = "pairs_all.jsonl", "prompts_all.jsonl"
DENSITY_DIRECTORY = "density"
DEFAULT_SOURCE = "base"


def weigh_parser() -> CommandParser:
    """The options of the command without a subcommand."""
    options = CommandParser(
        prog="python -m precompute.density",
        description="Weigh prompts by how alone they stand; see also the commands pairs, prompts and merge.",
    )
    add = options.add_argument
    add("--prompts", "--prompts-path", type=Path, metavar="FILE", help=f"default: DATA/{PROMPTS_FILE}")
    add(
        "--model-source",
        "--base-model-source",
        default=DEFAULT_SOURCE,
        metavar="NAME|PATH",
        help="a name in [density.sources], a model directory or a hub id (default: base)",
    )
    add(
        "--pooling",
        choices=POOLINGS,
        help="how token states become one vector (default: the model's own, or mean)",
    )
    add("--max-length", type=int, default=DEFAULT_MAX_LENGTH, metavar="N", help="tokens of a prompt at most")
    add("--dtype", choices=DTYPES, default="auto", help="type in which the model runs")
    add("--revision", metavar="NAME", help="revision of a hub id")
    add(
        "--allow-legacy-weights",
        action="store_true",
        help="read .pt and .bin files of adapter and projection",
    )
    add("--batch-size", type=positive, metavar="N", help="prompts in one forward pass (default: by length)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs")
    add("--config", type=Path, metavar="FILE", help="TOML file with [density.sources] of your own")
    add("--status", action="store_true", help="say what is fresh, stale, missing or corrupt; compute nothing")
    _add_common(options)
    return options


def merge_parser() -> CommandParser:
    """The options of `merge`."""
    options = CommandParser(
        prog="python -m precompute.density merge",
        description="Join parts that were computed apart: the weights of all their prompts together.",
    )
    options.add_argument(
        "--parts", type=Path, nargs="+", required=True, metavar="DIR", help="outputs to join"
    )
    options.add_argument("--output", dest="output_dir", type=Path, metavar="DIR", help="same as --output-dir")
    _add_common(options)
    return options


def _add_common(options: CommandParser) -> None:
    add = options.add_argument
    add("--output-dir", type=Path, metavar="DIR", help="default: DATA/density/NAME")
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    add("--k", type=positive, metavar="N", help="neighbours of each text (default: 10)")
    add("--alpha", type=float, metavar="A", help="exponent of the distance (default: 1)")
    add(
        "--favor",
        choices=("rare", "dense"),
        help="which regions get more: the exponent's sign (default: rare)",
    )
    add("--cap", type=float, metavar="C", help="most that a text may weigh, in uniform shares (default: 10)")
    add("--mix", type=float, metavar="L", help="share of the uniform distribution mixed in (default: 0.1)")
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="threads of the search")
    add("--force", action="store_true", help="compute even what is fresh")


def weigh(argv: list[str]) -> int:
    """Compute the weights of prompts."""
    arguments = weigh_parser().parse_args(argv)
    data, config = data_directory(arguments.data_dir), load_config(arguments.config)
    prompts = arguments.prompts or data / PROMPTS_FILE
    name, model = model_source(config, arguments.model_source)
    out = arguments.output_dir or data / DENSITY_DIRECTORY / name.replace("/", "--")
    options = EncoderOptions(arguments.pooling, True, arguments.max_length, arguments.dtype)
    files = find_files(model, arguments.revision, arguments.allow_legacy_weights)
    resources = Resources(arguments.device, arguments.batch_size, arguments.workers)
    chosen, search = _weight_settings(_given(arguments)), SearchSettings(k=arguments.k or SearchSettings.k)
    cache = DigestCache(data / ".digests.json")
    embeddings = embeddings_of(prompts, Source(name, files, options), resources, cache, warn_of_size)
    wanted = weights_from(Shelf(out), embeddings, search, chosen, arguments.workers)
    if arguments.status:
        return _show_states(Shelf(out), wanted)
    return _compute(out, wanted, arguments.force)


def merge(argv: list[str]) -> int:
    """Join parts."""
    arguments = merge_parser().parse_args(argv)
    parts: list[Path] = arguments.parts
    out = arguments.output_dir or data_directory(arguments.data_dir) / DENSITY_DIRECTORY / "merged"
    if out.resolve() in [part.resolve() for part in parts]:
        raise UsageError(
            f"--output-dir {out} that is one of the parts", "another directory", "choose another"
        )
    chosen = _weight_settings(common_weight_settings(parts, _given(arguments)))
    search = SearchSettings(k=common_k(parts, arguments.k))
    wanted = weights_from(Shelf(out), joined_embeddings(parts), search, chosen, arguments.workers)
    return _compute(out, wanted, arguments.force)


def _compute(out: Path, wanted: Wanted, force: bool) -> int:
    check_writable(out)
    report = TerminalStages(LABELS)
    try:
        result = compute(Shelf(out), wanted, report, force)
    finally:
        report.close()
    print(describe(out, result.metadata))
    return 0


def _show_states(shelf: Shelf, wanted: Wanted) -> int:
    for found in statuses(shelf, wanted):
        print(f"{found.step:<18s} {found.state:<8s} {found.reason}".rstrip())
    return 0


def model_source(config: Config, given: str) -> tuple[str, str]:
    """The name of a model source, and its directory or hub id; raises UsageError for an unknown word."""
    sources = config.density.sources
    if given in sources:
        return given, sources[given]
    path = Path(given).expanduser()
    if path.is_dir():
        return path.resolve().name, given
    if "/" in given or given.startswith((".", "~")):
        return given, given
    raise UsageError(
        f"model source {given!r} that no configuration names",
        f"{', '.join(sorted(sources))}, a model directory, or a hub id",
        f'correct --model-source, or add {given} = "PATH" to [density.sources] and pass --config',
    )


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("alpha", "favor", "cap", "mix")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _weight_settings(chosen: dict[str, Any]) -> WeightSettings:
    try:
        return WeightSettings.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"--{first['loc'][0]} {first['input']}", first["msg"], "give another value"
        ) from None


def pairs_parser() -> CommandParser:
    """The options of `pairs`."""
    options = CommandParser(
        prog="python -m precompute.density pairs",
        description=f"Gather preference data in DATA/{PAIRS_FILE}: source, prompt, chosen, rejected.",
    )
    add = options.add_argument
    add(
        "--only",
        metavar="NAME|PATH",
        help="a name in [density.pairs], a hub id, a directory or a file (default: all)",
    )
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    add("--config", type=Path, metavar="FILE", help="TOML file with [density.pairs] of your own")
    add(
        "--workers",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="files read at the same time",
    )
    return options


def pairs(argv: list[str]) -> int:
    """Gather preference data."""
    arguments = pairs_parser().parse_args(argv)
    data, known = data_directory(arguments.data_dir), load_config(arguments.config).density.pairs
    chosen = (
        dict(known) if arguments.only is None else {arguments.only: known.get(arguments.only, arguments.only)}
    )
    counts = {name: Count() for name in chosen}
    found = {
        name: builtin_pairs(data, arguments.workers, counts[name])
        if source == BUILTIN
        else read_pairs(source, counts[name])
        for name, source in chosen.items()
    }
    check_writable(data)
    write_pairs(found, data / PAIRS_FILE)
    for name, count in counts.items():
        left_out = f", {count.n_left_out:,} left out (no shared prompt)" if count.n_left_out else ""
        print(f"{name}: {count.n_pairs:,} pairs{left_out}")
    print(data / PAIRS_FILE)
    return 0


def prompts_parser() -> CommandParser:
    """The options of `prompts`."""
    options = CommandParser(
        prog="python -m precompute.density prompts",
        description=f"Write the distinct prompts of the pairs to DATA/{PROMPTS_FILE}, in their order.",
    )
    add = options.add_argument
    add("--pairs", "--pairs-path", type=Path, metavar="FILE", help=f"default: DATA/{PAIRS_FILE}")
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    return options


def prompts(argv: list[str]) -> int:
    """Write the distinct prompts of pairs."""
    arguments = prompts_parser().parse_args(argv)
    data = data_directory(arguments.data_dir)
    source = arguments.pairs or data / PAIRS_FILE
    if not source.is_file():
        raise UsageError(
            f"no pairs file {source}", "a jsonl file with prompt", "run `python -m precompute.density pairs`"
        )
    n_prompts = write_records(
        ({"prompt": text} for text in distinct_prompts(read_prompts(source))), data / PROMPTS_FILE
    )
    print(f"{data / PROMPTS_FILE}: {n_prompts:,} distinct prompts")
    return 0

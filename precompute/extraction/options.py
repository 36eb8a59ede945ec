"""The options of `python -m precompute.extraction` and its commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from precompute.command_line import CommandParser, positive
from precompute.errors import UsageError
from precompute.extraction.settings import METHODS, JudgeName, TraitSettings

MODULE = "precompute.extraction"
GROUPS = {name: field.annotation for name, field in TraitSettings.model_fields.items()}
"""Groups of settings, by name."""


def batch_size(text: str) -> int | None:
    """The type of `--batch-size`: a number, or auto."""
    return None if text == "auto" else positive(text)


def names(text: str) -> tuple[str, ...]:
    """The type of an option that takes names with commas between."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return found


def layers(text: str) -> tuple[int, ...] | None:
    """The type of `--layers`: numbers with commas between, or all."""
    if text == "all":
        return None
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor numbers with commas between")
    return tuple(int(part) for part in text.split(","))


def parser(command: str, summary: str) -> CommandParser:
    """The options of one command."""
    options = CommandParser(
        prog=f"python -m {MODULE} {command}", description=summary, argument_default=argparse.SUPPRESS
    )
    _add_place(options)
    _add_operations(options)
    for name in PARTS[command]:
        PART_OPTIONS[name](options)
    return options


def _add_place(options: CommandParser) -> None:
    add = options.add_argument
    add("--experiment", required=True, metavar="NAME", help="its folder is DATA/experiments/NAME")
    add("--traits", "--trait", type=names, default=(), metavar="A,B", help="default: all that are defined")
    add("--model", default=None, metavar="PATH|ID", help="for an experiment that no configuration names")
    add("--revision", default=None, metavar="NAME", help="revision of a hub id")
    add("--dtype", choices=("float32", "float16", "bfloat16"), help="type in which that model runs")
    add("--data-dir", type=Path, default=None, metavar="DIR", help="default: LIGHTWELL_DATA, or data")
    add("--config", type=Path, default=None, metavar="FILE", help="TOML with [experiments.NAME] of your own")


def _add_operations(options: CommandParser) -> None:
    add = options.add_argument
    add(
        "--pipeline",
        choices=("serial", "combined", "batched"),
        default="batched",
        help="same results, other speed",
    )
    add("--batch-size", type=batch_size, default=None, metavar="N|auto", help="default: auto, what fits")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs")
    add("--force", action="store_true", default=False, help="compute even what is fresh")
    add("--status", action="store_true", default=False, help="say what is fresh, stale or missing, and why")


def _add_generation(options: CommandParser) -> None:
    add = options.add_argument
    add("--n-examples", type=positive, metavar="N", help="responses of each polarity (default: 100)")
    add("--max-new-tokens", type=positive, metavar="N", help="tokens of a response at most (default: 64)")
    add("--temperature", type=float, metavar="T", help="0 takes the likeliest token (default: 0.7)")
    add("--top-p", type=float, metavar="P", help="share of the probability drawn from (default: 0.9)")
    add("--seed", type=int, metavar="N", help="of the draws (default: 0)")


def _add_judge(options: CommandParser) -> None:
    add = options.add_argument
    add("--judge", choices=get_args(JudgeName), help="who scores responses (default: none)")
    add("--judge-model", metavar="NAME", help="a local model's path or hub id, or its name at the endpoint")
    add("--judge-url", metavar="URL", help="an OpenAI-compatible endpoint, up to /v1")
    add("--threshold", type=float, metavar="S", help="score that parts the sides (default: 50)")


def _add_capture(options: CommandParser) -> None:
    add = options.add_argument
    add("--sites", type=names, metavar="A,B", help="capture sites (default: all, what every block gives)")
    add("--positions", type=names, metavar="A,B", help="position rules (default: response[:])")
    add("--activations-dtype", choices=("float32", "float16"), help="type in which vectors are kept")


def _add_vectors(options: CommandParser) -> None:
    add = options.add_argument
    add("--methods", type=names, metavar="A,B", help=f"of {', '.join(METHODS)} (default: all)")
    add(
        "--layers", type=layers, metavar="N,N|all", help="layers whose output is used (default: all captured)"
    )
    add("--position", metavar="RULE", help="which position rule (default: the first captured)")
    add("--validation-share", type=float, metavar="S", help="of the questions, held out (default: 0.3)")
    add("--n-bootstrap", type=positive, metavar="N", help="resamples of intervals (default: 1000)")
    add("--n-random", type=positive, metavar="N", help="random directions of the baseline (default: 200)")
    add("--vector-seed", type=int, metavar="N", help="of split, bootstrap and baseline (default: 0)")


PART_OPTIONS = {
    "generation": _add_generation,
    "judge": _add_judge,
    "capture": _add_capture,
    "vectors": _add_vectors,
}
PARTS = {
    "generate": ("generation", "judge"),
    "capture": ("capture",),
    "vectors": ("vectors",),
    "run": ("generation", "judge", "capture", "vectors"),
}
"""Which settings each command takes."""


def given_settings(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The settings that were given, by group."""
    given = vars(arguments)
    fields = {name: getattr(kind, "model_fields", {}) for name, kind in GROUPS.items()}
    found = {name: {key: given[key] for key in keys if key in given} for name, keys in fields.items()}
    try:
        TraitSettings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][1]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}", first["msg"], "give another") from None
    return found

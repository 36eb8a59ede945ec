"""The orchestrator: `python -m precompute.unified --model-type full` computes all that is missing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from precompute.command_line import INTERRUPTED, CommandParser, n_bytes, positive, run_command
from precompute.config import Config, load_config
from precompute.embeddings.readings import STEPS as READ
from precompute.embeddings.readings import open_reading
from precompute.errors import UsageError
from precompute.executors.choice import add_options, chosen_by, open_executor
from precompute.executors.ranks import Ranks, Team
from precompute.jobs.orders import Order, new_record
from precompute.jobs.recorder import Recorder, RecordingReporter, recorded
from precompute.jobs.works import ModelTypeWork
from precompute.models.legacy import OPTION
from precompute.models.sae.registry import make_readable, read_header
from precompute.pipeline.origin import origin_of
from precompute.pipeline.plan import Plan, StepStatus, selection
from precompute.pipeline.registry import steps
from precompute.pipeline.runner import UP_TO_DATE, Outcome, Runner
from precompute.pipeline.runs import prepare
from precompute.pipeline.step import Share, sharing
from precompute.pipeline.subjects import TEST_FEATURES, Subject, open_subject, write_settings
from precompute.pipeline.terminal import TerminalReporter
from precompute.settings import MEMORY_LIMIT, Operations

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run resumably: Ctrl-C, and what the Jobs page sends."""
SECONDS_TO_STOP = {"slurm": 15.0}
"""After Ctrl-C, how long a step may take to notice, or the executor to cancel its jobs; 2 s for others.
Everything published is whole at any moment."""


def parser() -> CommandParser:
    """The options of the command."""
    options = CommandParser(
        prog="python -m precompute.unified",
        description="Compute everything for a model type: what is missing, stale or damaged, in order.",
    )
    add = options.add_argument
    add("--model-type", required=True, metavar="NAME", help="full, ultra, one of --config, or auto")
    add("--sae", type=Path, metavar="PATH", help="with --model-type auto: the SAE whose width decides")
    add("--config", type=Path, metavar="FILE", help="TOML file with model types of your own")
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    add("--texts", metavar="MODEL:SIZE", help="on the texts of an embedding set; by default example_features")
    add("--only", type=_names, default=[], metavar="STEP,...", help="these steps, and what they need")
    add("--skip", type=_names, default=[], metavar="STEP,...", help="all steps but these")
    add("--top-k", type=int, metavar="N", help="tokens kept each way for a feature; kept in settings.toml")
    add("--n-bins", type=int, metavar="N", help="bins of the histograms; kept in settings.toml")
    add("--features", type=_range, metavar="A:B", help="only features A to B-1, in a directory of its own")
    add("--test", action="store_true", help="only the first 256 features, in a directory of its own")
    add(
        "--method",
        choices=("fast", "parallel", "vectorized"),
        default="parallel",
        help="histograms in one pass over rows (fast; vectorized means the same) or by blocks of features",
    )
    add(
        "--chunk-size",
        type=positive,
        default=256,
        metavar="N",
        help="features whose token effects are held at once",
    )
    add("--batch-size", type=positive, metavar="N", help="examples in one forward pass (by the device)")
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="pieces at the same time")
    add(
        "--memory-limit",
        type=n_bytes,
        default=MEMORY_LIMIT,
        metavar="SIZE",
        help="most that transpose holds at once, as 4GB (default: 1.5GB)",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs")
    add(OPTION, action="store_true", help="read an SAE's .pt or .pth, tensors alone, and convert it once")
    add_options(options)
    add("--force", action="store_true", help="compute the steps even if they are fresh")
    add("--refresh-corpus", action="store_true", help="take the built-in corpus, or a dataset, anew")
    add("--plan", action="store_true", help="say what would run, and why; compute nothing")
    add("--status", action="store_true", help="say what is fresh, stale, missing or corrupt")
    add("--json", action="store_true", help="with --status: as JSON")
    add("--verify", action="store_true", help="read every file, name and mark what is damaged (exit code 1)")
    return options


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code. Under torchrun the first process leads, the others help."""
    ranks = Ranks.of_environment()
    with sharing(ranks) as team:
        if ranks.leads:
            return lead(parser().parse_args(argv), team)
        team.follow()
    return 0


def lead(arguments: argparse.Namespace, team: Team[Share]) -> int:
    """Do what the arguments say; returns the exit code."""
    subject = _subject(arguments)
    if arguments.allow_legacy_weights and subject.model_type.sae is not None:
        make_readable(subject.model_type.sae, allow_legacy_weights=True)
    if arguments.status:
        return show_status(subject, arguments.json)
    if arguments.verify:
        return verify(subject)
    names = selection(arguments.only or _usual(arguments), arguments.skip)
    if arguments.plan:
        return show_plan(subject, names)
    return compute(subject, names, arguments, team)


def _subject(arguments: argparse.Namespace) -> Subject:
    if arguments.test and arguments.features:
        raise UsageError("both --test and --features", "one of them", "leave one out")
    features = TEST_FEATURES if arguments.test else arguments.features
    name = arguments.model_type
    if name == "auto":
        name = _name_by_width(load_config(arguments.config), arguments.sae)
    overrides = _chosen(arguments)
    if arguments.texts:
        if features:
            raise UsageError("--texts beside some features alone", "one of them", "leave one out")
        return open_reading(name, arguments.texts, arguments.data_dir, arguments.config, overrides)
    return open_subject(name, arguments.data_dir, arguments.config, features, overrides)


def _usual(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The steps where none is named; none of them means all."""
    return READ if arguments.texts and not arguments.skip else ()


def _chosen(arguments: argparse.Namespace) -> dict[str, int]:
    """Scientific settings given on the command line."""
    given = {"top_k": arguments.top_k, "n_bins": arguments.n_bins}
    return {name: value for name, value in given.items() if value is not None}


def _name_by_width(config: Config, sae: Path | None) -> str:
    """The model type whose SAE is as wide as the given one; without one, the only type there is."""
    if sae is None:
        raise UsageError("--model-type auto alone", "--sae PATH beside it, whose width decides", "add --sae")
    width = read_header(sae).d_sae
    widths = {name: read_header(t.sae).d_sae for name, t in config.model_types.items() if t.sae}
    matching = [name for name, found in widths.items() if found == width]
    if len(matching) != 1:
        known = ", ".join(f"{name} ({found:,})" for name, found in widths.items())
        raise UsageError(
            f"an SAE of {width:,} features, which {len(matching)} model types have",
            f"the width of exactly one of {known}",
            "name the model type",
        )
    return matching[0]


def compute(
    subject: Subject, names: tuple[str, ...], arguments: argparse.Namespace, team: Team[Share]
) -> int:
    """Bring the steps up to date; 0 when done, 1 where a step had to be left out."""
    started, operations = time.monotonic(), _operations(arguments)
    reporter = TerminalReporter(names)
    executor = open_executor(chosen_by(arguments, reporter.say))
    _stop_soon_after_interrupt(arguments)
    prepare(subject, operations.workers, reporter.say, arguments.refresh_corpus)
    subject.directory.mkdir(parents=True, exist_ok=True)
    write_settings(subject.directory, _chosen(arguments))
    # With a record, the pages of every server on this data directory show the run.
    order = Order(
        ModelTypeWork(subject), names, arguments.config, workers=arguments.workers, origin="terminal"
    )
    recorder = Recorder(new_record(order, None))
    with executor:
        runner = Runner(subject, operations, RecordingReporter(reporter, recorder), executor, team)
        outcome = recorded(recorder, lambda: runner.run(names, force=arguments.force))
    reporter.say(_summary(outcome, subject, time.monotonic() - started))
    return 1 if outcome.left_out else 0


def _operations(arguments: argparse.Namespace) -> Operations:
    return Operations(
        device=arguments.device,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
        chunk_size=arguments.chunk_size,
        method="parallel" if arguments.method == "parallel" else "fast",
        memory_limit=arguments.memory_limit,
    )


def _summary(outcome: Outcome, subject: Subject, seconds: float) -> str:
    parts = [f"{len(outcome.computed)} steps computed", f"{len(outcome.fresh)} already fresh"]
    if outcome.left_out:
        parts.append(f"{len(outcome.left_out)} left out ({', '.join(outcome.left_out)})")
    return f"{', '.join(parts)} in {seconds:.1f} s; {subject.directory}"


def show_plan(subject: Subject, names: tuple[str, ...]) -> int:
    """Print what a run would compute, and why."""
    origin_of(subject.model_type).check_files()
    plan = Plan(subject)
    wanted = [status for name in names if (status := plan.status(name)).state not in UP_TO_DATE]
    for status in wanted:
        print(f"{status.step:<17s} {status.state:<8s} {status.reason}")
    if not wanted:
        print("nothing: everything asked for is fresh")
    return 0


def show_status(subject: Subject, as_json: bool) -> int:
    """Print the state of every step."""
    statuses = Plan(subject).statuses()
    if as_json:
        print(json.dumps(_status_record(subject, statuses), indent=1))
        return 0
    print(f"{subject.model_type.name}: {subject.directory}")
    for status in statuses:
        seconds = "" if status.seconds is None else f"{status.seconds:.1f} s"
        size = f"{status.n_bytes / 1e6:.1f} MB" if status.n_bytes else ""
        print(f"{status.step:<17s} {status.state:<14s} {size:>10s} {seconds:>9s}  {status.reason}".rstrip())
    return 0


def _status_record(subject: Subject, statuses: Iterable[StepStatus]) -> dict[str, Any]:
    return {
        "model_type": subject.model_type.name,
        "directory": str(subject.directory),
        "steps": [dataclasses.asdict(status) for status in statuses],
    }


def verify(subject: Subject) -> int:
    """Read every byte of every artifact; 1 if anything is damaged, which the next run then repairs."""
    shelf, n_damaged, n_checked = subject.shelf, 0, 0
    for name, step in steps().items():
        if Plan(subject).status(name).state == "missing":
            continue
        n_checked += 1
        damage = shelf.verify(name) or shelf.lost_links(name, step.outputs)
        for line in damage:
            print(f"{name}: {line}")
        n_damaged += bool(damage)
    print(f"{n_checked} artifacts read, {n_damaged} damaged", file=sys.stderr)
    if n_damaged:
        print("run the command without --verify to repair them", file=sys.stderr)
    return 1 if n_damaged else 0


def _stop_soon_after_interrupt(arguments: argparse.Namespace) -> None:
    """On Ctrl-C, or SIGTERM, say how to resume, and end even if a step is deep in compiled code.

    Leaving at once is safe: what is published is whole, what is staged is taken up or thrown away.
    """

    def interrupted(_number: int, _frame: Any) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        again = f"python -m precompute.unified --model-type {arguments.model_type}"
        # Not by print: the signal may have come while the main thread was printing.
        said = f"\ninterrupted; run the same command to go on where it stopped ({again})\n"
        os.write(sys.stderr.fileno(), said.encode())
        seconds = SECONDS_TO_STOP.get(arguments.executor, 2.0)
        timer = threading.Timer(seconds, os._exit, (INTERRUPTED,))
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            signal.signal(number, interrupted)


def _names(text: str) -> list[str]:
    return [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]


def _range(text: str) -> tuple[int, int]:
    first, colon, stop = text.partition(":")
    if not (colon and first.isdecimal() and stop.isdecimal() and int(first) < int(stop)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range A:B of features with A < B")
    return int(first), int(stop)


if __name__ == "__main__":
    sys.exit(run_command(main))

"""What `python -m precompute.extraction generate|capture|vectors|run` does."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from precompute.artifacts.digests import DigestCache
from precompute.config import load_config
from precompute.executors.ranks import Ranks
from precompute.extraction.crew import Crew
from precompute.extraction.experiment import Experiment, keep_model, open_experiment
from precompute.extraction.options import given_settings, parser
from precompute.extraction.plan import Trait, TraitPlan, check_layers, compute, plan_of, statuses
from precompute.extraction.report import LABELS, described, told_vectors
from precompute.extraction.stages import ACTIVATIONS, RESPONSES, VECTORS
from precompute.extraction.tasks import Operations
from precompute.pipeline.preflight import check_writable
from precompute.pipeline.stages import Stage
from precompute.pipeline.subjects import data_directory
from precompute.pipeline.terminal import TerminalStages

SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "generate": "Write responses that show a trait, and responses that do not; score them.",
        "capture": "Keep what passes capture sites while responses are written or read.",
        "vectors": "Find the directions that set the two sides apart, and say how well they do.",
        "run": "All of it: responses and activations in one pass, then vectors.",
    }
)
LAST_STAGES: Mapping[str, Stage] = MappingProxyType(
    {"generate": RESPONSES, "capture": ACTIVATIONS, "vectors": VECTORS, "run": VECTORS}
)


def command(name: str) -> Callable[[list[str]], int]:
    """One of the commands."""

    def run(argv: list[str]) -> int:
        arguments = parser(name, SUMMARIES[name]).parse_args(argv)
        return _run(name, arguments)

    return run


def _run(name: str, arguments: argparse.Namespace) -> int:
    ranks = Ranks.of_environment()
    experiment = _experiment(arguments)
    operations = Operations(arguments.pipeline, arguments.batch_size, arguments.device)
    crew = Crew(experiment, operations, ranks, _warn)
    with crew.team:
        if not ranks.leads:
            crew.team.follow()
            return 0
        plans = _plans(name, arguments, crew)
        if arguments.status:
            return _show_states(plans)
        check_writable(experiment.directory)
        if arguments.model is not None:
            keep_model(experiment)
        for trait, plan in plans:
            _compute(trait, plan, LAST_STAGES[name], arguments.force)
    return 0


def _experiment(arguments: argparse.Namespace) -> Experiment:
    data, config = data_directory(arguments.data_dir), load_config(arguments.config)
    found = open_experiment(data, config, arguments.experiment, arguments.model)
    changes = {"revision": arguments.revision} if arguments.revision else {}
    if "dtype" in arguments:
        changes["dtype"] = arguments.dtype
    return dataclasses.replace(found, model=found.model.model_copy(update=changes))


def _plans(name: str, arguments: argparse.Namespace, crew: Crew) -> list[tuple[Trait, TraitPlan]]:
    """What is to be done for each trait; whatever is wrong is said before anything is computed."""
    experiment, given = crew.experiment, given_settings(arguments)
    cache = DigestCache(experiment.directory.parent.parent / ".digests.json")
    found = []
    for trait in [Trait(experiment, chosen, cache) for chosen in experiment.chosen(arguments.traits)]:
        settings = trait.settings(given)
        check_layers(experiment, settings)
        found.append((trait, plan_of(trait, settings, crew, capture=name != "generate")))
    return found


def _compute(trait: Trait, plan: TraitPlan, stage: Stage, force: bool) -> None:
    report = TerminalStages(LABELS, f"{trait.name}: ")
    try:
        if stage is ACTIVATIONS and not force:
            # Scores are not read by it, but whoever captures wants to see the responses.
            compute(trait, plan.responses, report)
        compute(trait, plan.stage(stage.name), report, force)
    finally:
        report.close()
    print(described(trait, stage))
    for line in told_vectors(trait) if stage is VECTORS else ():
        print(line)


def _show_states(plans: Sequence[tuple[Trait, TraitPlan]]) -> int:
    for trait, plan in plans:
        for found in statuses(trait, plan):
            print(f"{trait.name:<20s} {found.step:<18s} {found.state:<8s} {found.reason}".rstrip())
    return 0


def _warn(sentence: str) -> None:
    print(f"lightwell: warning: {sentence}", file=sys.stderr)


COMMANDS: Mapping[str, Callable[[list[str]], int]] = MappingProxyType(
    {name: command(name) for name in SUMMARIES}
)
"""The commands by their names."""

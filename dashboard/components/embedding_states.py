"""What is said of embedding sets and density weights that are missing or outdated, and what computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard import formats
from dashboard.asks import Ask
from dashboard.components.panels import empty
from dashboard.embedded import OpenedSet
from dashboard.queries import Queries
from dashboard.questions.statement_features import reader, texts_read
from dashboard.tables import optional
from precompute.embeddings.named import SetName
from precompute.embeddings.readings import texts_of
from precompute.errors import LightwellError
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE
from precompute.pipeline.subjects import reading_name


def missing_set(queries: Queries, name: SetName, error: LightwellError) -> html.Div:
    """Why there is no map, and the command that makes it."""
    sentence, _, _ = str(error).partition("; run: ")
    return empty(sentence, command(queries, name), ask_for(name))


def outdated_set(queries: Queries, name: SetName) -> Any:
    """That what is shown was computed from something else than there is now; None where it was not."""
    states = optional(lambda: queries.embedded.statuses(name)) or ()
    return outdated(states, ask_for(name), command(queries, name))


def outdated_weights(queries: Queries, source: str) -> Any:
    """The same of density weights; None also where the configuration does not name their source."""
    ask = Ask(f"density:{source}")
    if queries.jobs is None or ask.model_type not in queries.jobs.works:
        return None
    states = tuple(queries.jobs.states(ask.model_type).all().values())
    run = f"python -m precompute.density --model-source {source}{queries.options}"
    return outdated(states, ask, run)


def outdated(states: Sequence[StepStatus], ask: Ask, run: str) -> Any:
    """What is not up to date and why, a button that computes it, and a command that does the same."""
    reasons: dict[str, list[str]] = {}
    for state in states:
        if state.state not in UP_TO_DATE:
            reasons.setdefault(f"{state.state}: {state.reason.rstrip('.')}", []).append(state.step)
    if not reasons:
        return None
    said = "; ".join(f"{', '.join(steps)} {reason}" for reason, steps in reasons.items())
    return empty(f"Not up to date: {said}", run, ask, whole_page=True, look="empty outdated")


def reading_state(queries: Queries, opened: OpenedSet) -> Any:
    """On how many texts the activations of features are known, where that is not all, and what reads them."""
    name, texts = queries.model_type.name, texts_of(opened.name)
    ask = Ask(reading_name(name, texts))
    run = f"python -m precompute.unified --model-type {name} --texts {texts}{queries.options}"
    # Only what the configuration names is computed by a job or a command.
    if queries.jobs is None or ask.model_type not in queries.jobs.works:
        return None
    if reader(queries, opened) is not queries:
        known = queries.jobs.states(ask.model_type).all()
        return outdated([known[step] for step in ask.names if step in known], ask, run)
    n_read = optional(lambda: int(texts_read(queries, opened).sum())) or 0
    if n_read == opened.n:
        return None
    said = (
        f"Features of {name} are known on {n_read:,} of these {formats.plural(opened.n, 'text')}, those that "
        "its corpus holds. Once it has read them all, any feature colours the whole map."
    )
    return empty(said, run, ask, label="Read all", whole_page=True)


def ask_for(name: SetName) -> Ask:
    """The job that brings a set, its neighbour graph and its map up to date."""
    return Ask(f"embeddings:{name.model}:{name.size}")


def command(queries: Queries, name: SetName) -> str:
    """The commands that embed a set and draw its map."""
    embedded = queries.embedded.embedding_set(name)
    dataset = queries.embedded.settings(name).dataset
    texts = f" --dataset {dataset}" if dataset else ""
    run = "python -m precompute.embeddings"
    return f"{run} {embedded.chosen_by}{texts} && {run} map {embedded.chosen_by}"

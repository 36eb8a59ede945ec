"""Best-of-K sweeps: the curves, their table, the rows, the explanations of one, and what starts a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from dash import dcc, html

from dashboard import formats
from dashboard.asks import Ask
from dashboard.components.browser import spoken
from dashboard.components.compute import control
from dashboard.components.elements import element, link, table
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, panel
from dashboard.components.tokens import chip, highlighted, phrase
from dashboard.queries import Queries
from dashboard.questions.sweeps import ORDERS, SCORES, OpenedRow, RowScores, SweepRun, names, ordered
from dashboard.sweep_figure import figure_of, interval, number, summary
from dashboard.token_view import excerpt
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE
from precompute.sweeps.named import stem_of

ORACLE = (
    "The best of K is chosen by an oracle, which compares each reconstruction with the activation itself: "
    "these curves say what K explanations could recover, not what a reader of one recovers."
)
PRESETS: Mapping[str, str] = {
    "quick": "K to 8, 128 examples",
    "standard": "K to 32, 1,000 examples",
    "cool": "K to 32, 1,000 examples, temperature 0.5",
    "all": "K to 32, every example",
}


class Links:
    """Addresses of the page with one choice changed."""

    def __init__(self, queries: Queries, given: Mapping[str, str]) -> None:
        self._queries, self._given = queries, given

    def __call__(self, **changed: str | None) -> str:
        """The address; None leaves a parameter out."""
        merged = {k: v for k, v in {**self._given, **changed}.items() if v is not None}
        query = urlencode(merged, safe=",")
        return self._queries.href("/sweeps" + (f"?{query}" if query else ""))


def about(runs: list[SweepRun]) -> str:
    """What was swept, in a line."""
    record = runs[0].result.record
    return (
        f"{record['n_rows']:,} activations of {record['n_texts']:,} texts, "
        f"{record['configuration']['n_samples']} explanations of {record['n_tokens']} tokens each"
        + (f" ({runs[0].name})" if len(runs) > 1 else "")
        + f". {ORACLE}"
    )


def choices(queries: Queries, links: Links, runs: list[SweepRun], score: str) -> html.Div:
    """Which sweeps are drawn, and which score: links, so that every choice is an address."""
    shown = [run.name for run in runs]
    chips = []
    for name in names(queries):
        others = [n for n in shown if n != name] if name in shown else [*shown, name]
        target = links(runs=",".join(others) or name, row=None, run=None)
        chips.append(_choice(name, target, name in shown))
    scores = [_choice(words, links(score=key), key == score) for key, words in SCORES.items()]
    return html.Div(
        [
            html.Div(
                [element("Span", "Sweeps", className="choice-label"), *chips], className="sweep-choices"
            ),
            html.Div(
                [element("Span", "Score", className="choice-label"), *scores], className="sweep-choices"
            ),
        ]
    )


def _choice(words: str, target: str, is_chosen: bool) -> Any:
    look = "sweep-choice chosen" if is_chosen else "sweep-choice"
    return link(words, target, className=look, **_current(is_chosen))


def _current(is_chosen: bool) -> dict[str, str]:
    return {"aria-current": "true"} if is_chosen else {}


def curves(runs: list[SweepRun], score: str) -> Any:
    """The figure and its table."""
    return panel(
        SCORES[score],
        [graph("sweep-curves", figure_of(runs, score), summary(runs, score)), _table(runs)],
        explanation="Over all subsets of size K of each activation's pool: the i-th best of n has weight "
        "C(n-i, K-1) / C(n, K). Intervals are 95 % BCa over resampled texts; predicting the mean recovers 0.",
        anchor="curves",
    )


def _table(runs: list[SweepRun]) -> Any:
    rows = [
        [run.name, str(entry["k"]), *(_cell(entry[score], score) for score in SCORES),
         _cell(entry["first_k"]["variance_recovery"], "variance_recovery")]
        for run in runs
        for entry in run.entries
    ]  # fmt: skip
    headings = ["Sweep", "K", *SCORES.values(), "Variance recovered by the first K"]
    return html.Div(
        table(headings, rows, "Scores of each sweep and K, with 95 % intervals"),
        className="table-scroll tall",
        tabIndex=0,
        **spoken("Scores of each sweep and K"),
    )


def _cell(record: dict[str, Any], score: str) -> str:
    if record["estimate"] is None:
        return formats.ABSENT
    ends = interval(record)
    said = f" [{number(ends[0], score)}, {number(ends[1], score)}]" if ends else ""
    return number(record["estimate"], score) + said


@dataclass(frozen=True)
class Listed:
    """What the list of activations shows."""

    runs: list[SweepRun]
    """Those that can be chosen."""
    run: SweepRun
    scores: RowScores
    order: str
    row: int
    """The one that is open."""


def rows_panel(links: Links, listed: Listed) -> Any:
    """Where reconstruction fails, and where it does not."""
    run, found = listed.run, listed.scores
    k = run.result.k_values
    vocabulary = run.result.vocabulary
    body = [
        [
            link(f"{number_}", links(run=run.name, row=str(number_)), **_current(number_ == listed.row)),
            chip(vocabulary[int(found.token_id[number_])], f"position {found.position[number_]}"),
            _share(found.recovery[number_, 0]),
            _share(found.recovery[number_, -1]),
        ]
        for number_ in ordered(found, listed.order)
    ]  # fmt: skip
    orders = [
        _choice(words, links(order=key, row=None), key == listed.order) for key, words in ORDERS.items()
    ]
    of = [_choice(one.name, links(run=one.name, row=None), one.name == run.name) for one in listed.runs]
    return panel(
        "Activations",
        [
            *([html.Div(of, className="sweep-choices")] if len(of) > 1 else []),
            html.Div(orders, className="sweep-choices"),
            html.Div(
                table(
                    ["Row", "Token", f"K = {k[0]}", f"K = {k[-1]}"],
                    body,
                    "Activations by what is recovered",
                    2,
                ),
                className="table-scroll tall",
                tabIndex=0,
                **spoken("Activations"),
            ),
        ],
        explanation="Share of the activation's own squared distance from the mean that is recovered, in "
        "the mean over subsets; below 0 where the mean would have been closer.",
        anchor="rows",
    )


def _share(value: float | None) -> str:
    return formats.ABSENT if value is None or np.isnan(value) else f"{100 * value:.1f} %"


def explanations(run: SweepRun, opened: OpenedRow) -> Any:
    """The text of a row, and all its explanations with their scores, the best marked."""
    acts = np.where(np.arange(len(opened.str_tokens)) == opened.position, 1.0, 0.0).astype(np.float32)
    shown = excerpt(opened.str_tokens, acts, 1.0, opened.position)
    k_values = run.result.k_values
    by_k = ", ".join(
        f"{_share(value)} at K = {k}" for k, value in zip(k_values, opened.recovery, strict=True)
    )
    body = [
        [
            f"{one.number}",
            element(
                "Span", [phrase(one.tokens), *([_best()] if place == 0 else [])], className="explanation"
            ),
            _share(one.recovery),
            formats.decimal(one.error, 4),
        ]
        for place, one in enumerate(opened.explanations)
    ]
    return panel(
        f"Row {opened.row}",
        [
            highlighted(shown),
            html.P(
                f"Position {opened.position} of example {opened.chunk} of text {opened.text_id[:12]}. "
                f"Recovered: {by_k}.",
                className="caption",
            ),
            html.Div(
                table(
                    ["Sample", "Explanation", "Recovered", "Squared error"],
                    body,
                    "Explanations, the best first",
                    2,
                ),
                className="table-scroll explanations",
                tabIndex=0,
                **spoken("Explanations, the best first"),
            ),
        ],
        explanation="The samples of this activation's pool. Samples count from 0 in the order in which "
        "they were drawn; the first K of them make the nested curve.",
        anchor="row",
    )


def _best() -> Any:
    return element("Span", "best", className="badge best-sample")


def starting(queries: Queries) -> Any:
    """Every sweep that the configuration names, with what starts it."""
    known = queries.jobs.works if queries.jobs is not None else ()
    works = [name for name in known if name.startswith("sweep:")]
    parts = [_work(queries, name) for name in works]
    if not parts:
        parts = [empty('No text autoencoder is configured: [autoencoders.NAME] with checkpoint = "PATH"')]
    return panel(
        "Start a sweep",
        html.Div(parts, className="sweep-works"),
        explanation="Text autoencoders of the configuration, [autoencoders.NAME], with the presets that come "
        "with the program and those in ./conf/eval. What the caches have is not computed again.",
        anchor="start",
    )


def _work(queries: Queries, name: str) -> html.Div:
    """A sweep with its button; one that is up to date has none."""
    _, autoencoder, preset = name.split(":")
    stem = stem_of(autoencoder, preset)
    shown: Any = f"{autoencoder}, {preset}"
    if stem in names(queries):
        shown = dcc.Link(shown, href=Links(queries, {})(runs=stem))
    words = PRESETS.get(preset, f"conf/eval/{preset}.yaml")
    head = [html.Span(shown, className="work-name"), html.Span(words, className="dim")]
    state = _state(queries, name)
    if state is not None and state.state in UP_TO_DATE:
        return html.Div([html.Div(head), html.P("Up to date.", className="caption")], className="sweep-work")
    why = [html.P(f"Stale: {state.reason}.", className="caption")] if state and state.state == "stale" else []
    button = control(Ask(name), "Sweep", whole_page=True)
    return html.Div([html.Div(head), *why, button], className="sweep-work")


def _state(queries: Queries, name: str) -> StepStatus | None:
    """Whether its results are up to date; None where that cannot be judged."""
    known = queries.jobs.states(name).all() if queries.jobs is not None else {}
    return next(iter(known.values()), None)

"""Density weights: numbers, figures, lists, and the sliders that change them."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard import figures, formats
from dashboard.components.data_table import data_table, histogram_table
from dashboard.components.elements import table
from dashboard.components.facts import Fact, tiles
from dashboard.components.graphs import graph
from dashboard.components.menus import button_words, menu_target
from dashboard.components.opened_statement import brief
from dashboard.components.panels import empty, panel
from dashboard.figures import MARK, PROMOTED, Figure
from dashboard.queries import Queries
from dashboard.questions.density import (
    LIMITS,
    PARTS,
    DensityRun,
    Weighed,
    duplicated,
    extremes,
    uniform_distinct,
)
from precompute.density.weights import WeightSettings
from precompute.export.files import FORMATS

SLIDERS = (
    ("exponent", "Exponent", 0.1, "Of the distance to the nearest others; below 0 dense regions get more."),
    ("cap", "Cap", 1.0, "The most that a text weighs before mixing, in uniform shares."),
    ("mix", "Mix", 0.01, "Share of the uniform distribution that is mixed in."),
)
HEIGHT = 250


def sliders(chosen: WeightSettings) -> html.Div:
    """Exponent, cap and mix."""
    values = {"exponent": chosen.exponent, "cap": chosen.cap, "mix": chosen.mix}
    parts = []
    for name, label, step, words in SLIDERS:
        low, high = LIMITS[name]
        slider = dmc.Slider(
            id=f"density-{name}",
            min=min(low, values[name]),
            max=max(high, values[name]),
            step=step,
            value=values[name],
            updatemode="drag",
            size="sm",
            thumbLabel=label,
        )
        shown = html.Span(formats.decimal(values[name]), id=f"density-{name}-value", className="slider-value")
        parts.append(
            html.Div([html.Div([html.Span(label), shown], className="slider-head"), slider,
                      html.P(words, className="caption")], className="slider")
        )  # fmt: skip
    button = html.Button(
        "As computed", id="density-reset", className="bar-button", title="Back to the weights on disk"
    )
    return html.Div([*parts, button], className="sliders")


def export_menu(queries: Queries) -> dmc.Menu:
    """Links to the weights as a file; the browser adds the address's parameters."""
    items = [
        dmc.MenuItem(
            chosen.label, href=queries.href(f"/density.{ending}"), target="_top", className="exports"
        )
        for ending, chosen in FORMATS.items()
    ]
    target = menu_target(button_words("Export"), "bar-button", "density-export")
    label = dmc.MenuLabel("Every prompt with its weight, as chosen here")
    return dmc.Menu([target, dmc.MenuDropdown([label, *items])], position="bottom-end", shadow="md")


def results(found: Weighed) -> list[Any]:
    """Everything that depends on the sliders."""
    return [
        numbers(found),
        html.Div([_histogram(found), _draws(found)], className="density-columns"),
        html.Div([_list(found, True), _list(found, False), _duplicates(found)], className="density-lists"),
    ]


def numbers(found: Weighed) -> Any:
    """Counts and sizes."""
    run = found.run
    n, n_distinct = len(found.rows), len(found.distinct)
    facts = [
        Fact("Prompts", formats.count(n), f"{n_distinct:,} distinct texts"),
        Fact(
            "Effective sample size",
            formats.count(round(found.effective)),
            f"{formats.share(found.effective / n)} of the prompts",
            "Kish's (Σw)² / Σw²: as many equally weighted prompts would vary as little.",
        ),
        Fact("Heaviest text", f"{formats.decimal(found.shares.max())} ×", "uniform shares"),
        Fact("Lightest text", f"{formats.decimal(found.shares.min())} ×", "uniform shares"),
        Fact("Texts at the cap", formats.count(found.n_capped), f"of {n_distinct:,}"),
        Fact(
            "Distinct texts in an epoch",
            formats.count(round(found.expected_distinct())),
            f"of {n:,} draws; uniform {round(uniform_distinct(run)):,}",
            "Expected where as many prompts are drawn, with replacement, as there are.",
        ),
    ]
    return tiles(facts)


def _histogram(found: Weighed) -> Any:
    histogram = found.histogram()
    figure = figures.empty_figure("Weight (uniform shares)", "Distinct texts", HEIGHT)
    figure["data"].append(figures.bars(histogram, PROMOTED, "weight", "texts"))
    return panel(
        "Weights",
        [
            graph("density-histogram", figure, figures.summary(histogram, "texts")),
            histogram_table(histogram, "Weight", "texts"),
        ],
        explanation="The weight of a distinct text in shares of the uniform one: at 2 it is drawn twice as "
        "often. Duplicates divide their text's weight.",
        anchor="density-weights",
    )


def draws_figure(found: Weighed) -> Figure:
    """What falls to each tenth of the prompts, against uniform."""
    figure = figures.empty_figure("Tenth of the prompts, from dense to alone", "Share of draws", HEIGHT)
    shares, places = found.drawn(), list(range(1, PARTS + 1))
    bar = "tenth %{x}<br>%{y:.2%} of draws<extra></extra>"
    figure["data"] = [
        {"type": "bar", "x": places, "y": shares.tolist(), "marker": {"color": PROMOTED}, "width": 0.8,
         "hovertemplate": bar},
        {"type": "scatter", "mode": "lines", "x": [0.5, PARTS + 0.5], "y": [1 / PARTS] * 2,
         "line": {"color": MARK, "dash": "dash", "width": 2},
         "hovertemplate": "uniform: %{y:.2%}<extra></extra>"},
    ]  # fmt: skip
    figure["layout"]["yaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    figure["layout"]["xaxis"] |= {"tickvals": places, "range": [0.4, PARTS + 0.6]}
    return figure


def _draws(found: Weighed) -> Any:
    shares = found.drawn()
    rows = [
        [str(i + 1), formats.share(float(share)), formats.share(1 / PARTS)] for i, share in enumerate(shares)
    ]
    words = (
        f"The densest tenth of the prompts gets {formats.share(float(shares[0]))} of the draws, the one most "
        f"alone {formats.share(float(shares[-1]))}; uniform would be {formats.share(1 / PARTS)} each."
    )
    return panel(
        "What the sampler draws",
        [
            graph("density-draws", draws_figure(found), words),
            html.P(words, className="caption"),
            data_table(["Tenth", "Share of draws", "Uniform"], rows, "What the sampler draws"),
        ],
        explanation="Prompts in order of the mean cosine distance of their text to its nearest others, cut "
        "into ten equal parts; the line is what uniform draws would give.",
        anchor="density-draws-panel",
    )


def _list(found: Weighed, most_alone: bool) -> Any:
    title = "Rarest prompts" if most_alone else "Densest prompts"
    chosen = extremes(found.run, most_alone)
    lines = [
        [formats.decimal(float(found.run.distances[text])), f"{formats.decimal(float(found.shares[text]))} ×",
         _prompt(found.run, text)]
        for text in chosen
    ]  # fmt: skip
    shown = table(["Distance", "Weight", "Prompt"], lines, title, 0, kind="prompt-list")
    return panel(
        title,
        html.Div(shown, className="table-scroll tall", tabIndex=0),
        explanation="By the mean cosine distance to the nearest other texts. Weight in uniform shares.",
        anchor="density-rarest" if most_alone else "density-densest",
    )


def _duplicates(found: Weighed) -> Any:
    run = found.run
    chosen = duplicated(run)
    n_extra = len(run.groups) - len(run.distances)
    if not chosen:
        return panel("Duplicates", empty("No prompt stands twice"), anchor="density-duplicates")
    lines = [
        [formats.count(int(run.copies[text])),
         f"{formats.decimal(float(found.shares[text] / run.copies[text]))} ×", _prompt(run, text)]
        for text in chosen
    ]  # fmt: skip
    shown = table(["Copies", "Weight each", "Prompt"], lines, "Duplicates", 0, kind="prompt-list")
    said = f"{n_extra:,} of {len(run.groups):,} prompts repeat another; copies divide their text's weight."
    return panel(
        "Duplicates",
        [html.P(said, className="caption"), html.Div(shown, className="table-scroll tall", tabIndex=0)],
        anchor="density-duplicates",
    )


def _prompt(run: DensityRun, text: int) -> str:
    return brief(run.prompts[int(run.firsts[text])])


def about(run: DensityRun) -> str:
    """The run in one line."""
    known = run.result.metadata
    recall = "" if known["index_recall"] == 1 else f", recall {formats.decimal(known['index_recall'])}"
    chosen = (run.settings.exponent, known["cap"], known["mix"])
    exponent, cap, mix = (formats.decimal(value) for value in chosen)
    return (
        f"{known['k']} nearest by {known['metric']} distance{recall} · vectors of {known['embedding_dim']:,} "
        f"numbers by the model “{known['model']}” · computed with exponent {exponent}, cap {cap}, mix {mix}"
    )


def changed(found: Weighed) -> str:
    """Whether the weights are those on disk."""
    if found.settings == found.run.settings:
        return "These are the weights on disk."
    chosen = found.settings
    return (
        "Not the weights on disk: to compute these, run python -m precompute.density "
        f"--alpha {chosen.alpha:g} --favor {chosen.favor} --cap {chosen.cap:g} --mix {chosen.mix:g}"
    )

"""Traits: figures of how well vectors do, lists of features and responses, and the form that steers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import dcc, html

from dashboard import figures, formats
from dashboard.address import with_parameters
from dashboard.components.browser import spoken
from dashboard.components.choices import field
from dashboard.components.data_table import data_table
from dashboard.components.elements import Element, element, table
from dashboard.components.facts import Fact, tiles
from dashboard.components.graphs import graph
from dashboard.components.panels import panel
from dashboard.components.prompt_panels import feature_link
from dashboard.components.tokens import phrase_of_labels
from dashboard.components.writing import text_field
from dashboard.figures import LOGIT, MARK, PROMOTED, SUPPRESSED, Figure
from dashboard.queries import Queries
from dashboard.questions import traits
from dashboard.questions.differences import Differences
from dashboard.questions.passages import named
from dashboard.questions.traits import OpenedTrait, ShownResponse, Steered, View
from dashboard.records import Histogram
from dashboard.token_view import running, spelled_out

COLOURS = {"mean_diff": PROMOTED, "probe": LOGIT, "gradient": "#e8930c", "ica": SUPPRESSED}
WORDS = {"mean_diff": "mean difference", "probe": "probe", "gradient": "gradient", "ica": "ICA"}
HEIGHT = 320
ASIDE = 0.06
"""Between the methods of a site, so that their intervals do not hide each other."""
LONGEST_PROMPT = 110
"""Characters of a prompt that are shown: its end."""


def short_site(site: str) -> str:
    """A capture site on an axis or a link: the layer's number for what a block gives."""
    parts = site.split(".")
    is_output = len(parts) == 3 and parts[2] == "hook_resid_post"
    return f"layer {parts[1]}" if is_output else site


def choices(queries: Queries, view: View) -> html.Div:
    """Links to the other traits, methods and sites; what is shown is marked."""
    here = {"trait": view.trait.key, "method": view.method, "site": view.site}
    result = view.trait.result
    named = {
        "trait": [(name, name) for name in traits.computed(queries)],
        "method": [(method, WORDS[method]) for method in result.methods],
        "site": [(site, short_site(site)) for site in result.sites],
    }
    return html.Div(
        [_line(queries, here, name, options) for name, options in named.items()], className="trait-choices"
    )


def _line(queries: Queries, here: dict[str, str], name: str, options: list[tuple[str, str]]) -> html.Div:
    links = []
    for key, words in options:
        chosen = {"trait": key} if name == "trait" else {**here, name: key}
        href = queries.href(with_parameters("/traits", chosen))
        links.append(dcc.Link(words, href=href, className="here" if key == here[name] else ""))
    title = name.capitalize()
    nav = html.Nav(links, className="navigation", **spoken(title))
    return html.Div([html.Span(title, className="dim"), nav])


def facts(view: View) -> Any:
    """The vector in numbers."""
    record, summary = view.record, view.trait.result.summary(view.method)
    span = record["auc_interval"]
    held = f"{summary['n_validation_pos']} + {summary['n_validation_neg']}"
    return tiles(
        [
            Fact(
                "Held-out AUC",
                formats.decimal(record["auc"]),
                f"95 %: {span[0]:.3f} to {span[1]:.3f}" if span else "no interval",
                "The chance that a positive response projects higher than a negative one, on questions that "
                "entered no fit; the interval is by bootstrap of whole questions.",
            ),
            Fact(
                "Random directions",
                formats.decimal(record["random_auc"]["mean"]),
                f"95 % below {record['random_auc']['high']:.3f}",
                "AUC of directions drawn at random on the same responses, each with the sign that suits it.",
            ),
            Fact(
                "Effect size",
                formats.decimal(record["effect_size"]),
                "Cohen's d",
                "Difference of the sides' means in pooled standard deviations, on held-out questions.",
            ),
            Fact(
                "Separation",
                formats.decimal(record["separation"]),
                f"of a mean length of {formats.decimal(record['mean_norm'])}",
                "How far the sides' means lie apart along the vector, on the fit; the unit of steering.",
            ),
            Fact("Held out", held, "positive + negative responses"),
            Fact(
                "Left out",
                formats.count(summary["n_left_out"]),
                f"of {summary['n_responses']:,}; {summary['n_unscored']:,} without a score",
                "Responses that the judge did not keep, or without a token at the position.",
            ),
        ]
    )


def separation_figure(trait: OpenedTrait) -> Figure:
    """Held-out AUC by site and method with intervals, and what random directions reach."""
    figure = figures.empty_figure("Capture site", "Held-out AUC", HEIGHT)
    result, sites = trait.result, trait.result.sites
    names, places = [short_site(site) for site in sites], list(range(len(sites)))
    first = result.summaries[result.methods[0]]["sites"]
    figure["data"].append(
        {
            "type": "scatter", "mode": "lines", "name": "random directions, 95 %", "x": places,
            "text": names,
            "y": [first[site]["random_auc"]["high"] for site in sites],
            "line": {"color": MARK, "dash": "dash", "width": 2},
            "hovertemplate": "%{text}<br>95 % of random directions below %{y:.3f}<extra></extra>",
        }
    )  # fmt: skip
    for number, method in enumerate(result.methods):
        records = [result.summaries[method]["sites"][site] for site in sites]
        aside = ASIDE * (number - (len(result.methods) - 1) / 2)
        spans = [record["auc_interval"] or [record["auc"]] * 2 for record in records]
        errors = {
            "type": "data", "symmetric": False, "width": 4, "thickness": 1.2,
            "array": [max(0.0, high - r["auc"]) for r, (_, high) in zip(records, spans, strict=True)],
            "arrayminus": [max(0.0, r["auc"] - low) for r, (low, _) in zip(records, spans, strict=True)],
        }  # fmt: skip
        figure["data"].append(
            {
                "type": "scatter", "mode": "lines+markers", "name": WORDS[method],
                "x": [place + aside for place in places], "text": names,
                "y": [record["auc"] for record in records], "error_y": errors,
                "line": {"color": COLOURS[method], "width": 2}, "marker": {"size": 7},
                "hovertemplate": f"{WORDS[method]}, %{{text}}<br>AUC %{{y:.3f}}<extra></extra>",
            }
        )  # fmt: skip
    figure["layout"] |= {"showlegend": True, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}}
    figure["layout"]["margin"]["t"] = 34
    figure["layout"]["yaxis"] |= {"tickformat": ".2f"}
    figure["layout"]["xaxis"] |= {"tickvals": places, "ticktext": names}
    return figure


def separation(trait: OpenedTrait) -> Any:
    """The figure, and its numbers."""
    result = trait.result
    rows = []
    for method in result.methods:
        for site in result.sites:
            one = result.summaries[method]["sites"][site]
            span = "" if one["auc_interval"] is None else "{:.3f} to {:.3f}".format(*one["auc_interval"])
            cells = [formats.decimal(one["auc"]), span, formats.decimal(one["effect_size"])]
            rows.append([WORDS[method], site, *cells, formats.decimal(one["random_auc"]["mean"])])
    best = max(rows, key=lambda row: float(row[2]))
    words = f"Best: {best[0]} at {best[1]} with a held-out AUC of {best[2]}; random directions {best[5]}."
    headings = ["Method", "Site", "AUC", "95 % interval", "Effect size", "Random AUC"]
    return panel(
        "Separation by layer and method",
        [
            graph("trait-separation", separation_figure(trait), words),
            data_table(headings, rows, "Separation"),
        ],
        explanation="AUC on questions that entered no fit, with 95 % bootstrap intervals over questions. The "
        "dashed line is below 5 % of random directions. Layer l is the output of block l.",
        anchor="trait-layers",
    )


def histogram_figure(positive: Histogram, negative: Histogram) -> Figure:
    """Both sides' projections over each other."""
    figure = figures.empty_figure("Projection onto the vector", "Held-out responses", HEIGHT)
    for histogram, colour, name in ((positive, PROMOTED, "positive"), (negative, SUPPRESSED, "negative")):
        drawn = figures.bars(histogram, colour, "projection", f"{name} responses")
        figure["data"].append({**drawn, "name": name, "opacity": 0.6})
    figure["layout"] |= {"barmode": "overlay", "showlegend": True}
    figure["layout"]["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure["layout"]["margin"]["t"] = 34
    return figure


def projections(view: View) -> Any:
    """The histograms, and their numbers."""
    positive, negative = traits.histograms(view)
    edges = positive.bin_edges.tolist()
    rows = [
        [formats.decimal(a, 4), formats.decimal(b, 4), str(p), str(n)]
        for a, b, p, n in zip(
            edges[:-1], edges[1:], positive.counts.tolist(), negative.counts.tolist(), strict=True
        )
    ]
    words = f"{int(positive.counts.sum())} positive and {int(negative.counts.sum())} negative responses."
    figure = histogram_figure(positive, negative)
    return panel(
        "Projections of both sides",
        [
            graph("trait-projections", figure, words),
            data_table(["From", "to", "Positive", "Negative"], rows, "Projections"),
        ],
        explanation="What was captured of each response, projected onto the vector; held-out questions.",
        anchor="trait-sides",
    )


def features(queries: Queries, view: View) -> Element:
    """The features whose decoder directions lie closest."""
    found = traits.nearest_features(queries, view)
    names = named(queries, tuple(one.feature for one in found))
    rows = [
        [
            feature_link(queries, one.feature, names),
            phrase_of_labels(one.promotes),
            formats.signed(one.cosine),
        ]
        for one in found
    ]
    return table(["Feature", "Promotes", "Cosine"], rows, "Features closest to the trait vector", 2)


def differing(queries: Queries, found: Differences, chosen: Sequence[int]) -> Element:
    """The features whose mean activation differs most between the sides."""
    names = named(queries, tuple(chosen))
    rows = [
        [
            feature_link(queries, feature, names),
            formats.decimal(float(found.a[feature])),
            formats.decimal(float(found.b[feature])),
            formats.signed(float(found.difference[feature])),
            f"{formats.signed(float(found.low[feature]))} to {formats.signed(float(found.high[feature]))}",
        ]
        for feature in chosen
    ]
    headings = ["Feature", "Positive", "Negative", "Difference", "95 % interval"]
    return table(headings, rows, "Features whose mean activation differs most")


def responses(view: View, shown: Iterable[ShownResponse]) -> list[Element]:
    """Responses with every token coloured by its side of the midpoint."""
    record = view.record
    reach = max(abs(record["mean_pos"] - record["mean_neg"]), 1e-9)
    return [_response(one, view.midpoint, reach) for one in shown]


def _response(one: ShownResponse, midpoint: float, reach: float) -> Element:
    prompt = element(
        "Span", running(one.prompt[-LONGEST_PROMPT:]), className="dim", title="The end of the prompt"
    )
    tokens = [
        _token(token, float(value), (float(value) - midpoint) / reach)
        for token, value in zip(one.str_tokens, one.projections, strict=True)
    ]
    mean = float(np.mean(one.projections))
    side = "positive" if one.polarity == "pos" else "negative"
    score = "" if one.score is None else f" · score {one.score:.0f}"
    head = element("Div", f"{side} · mean projection {formats.decimal(mean)}{score}", className="dim")
    return element(
        "Div",
        [head, element("Div", [prompt, *tokens], className="text", dir="ltr")],
        className="trait-response",
    )


def _token(token: str, value: float, share: float) -> Element:
    strength = min(1.0, abs(share))
    return element(
        "Bdi",
        running(token),
        className="toward" if share > 0 else "away",
        title=f"{spelled_out(token)} · projection {value:.4g}",
        style={"--strength": f"{strength:.3f}"},
    )


def steering(given: dict[str, str]) -> list[Any]:
    """The form."""
    usual = {"strength": "1", "length": "40", "temperature": "0", "seed": "0"}
    values = {name: given.get(name, value) for name, value in usual.items()}
    named = (
        ("strength", "Strength", "in separations"),
        ("length", "Tokens", "40"),
        ("temperature", "Temperature", "0"),
        ("seed", "Seed", "0"),
    )
    fields = [
        html.Div(
            [
                html.Span(label, className="caption"),
                field(f"trait-{name}", label, example, value=values[name], width=96),
            ]
        )
        for name, label, example in named
    ]
    fields.append(dmc.Button("Write", id="trait-write", size="xs"))
    text = text_field(
        "trait-text", "Text to write on from", given.get("text", ""), "A text to write on from", 1
    )
    hint = html.P("Strength is in separations of the sides: 1 moves the mean of one side onto the other's.",
                  className="caption")  # fmt: skip
    return [text, html.Div(fields, className="conditions trait-form"), hint]


def written(found: Steered) -> list[Element]:
    """Both continuations; from where they part, tokens are marked."""
    pairs = zip(found.plain, found.steered, strict=False)
    parts = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(found.plain), len(found.steered)))
    return [
        element(
            "Div",
            [element("Div", title, className="dim"), _continuation(tokens, parts)],
            className="effect-written",
        )
        for title, tokens in (("As it is", found.plain), ("With the vector", found.steered))
    ]


def _continuation(tokens: Sequence[str], parts: int) -> Element:
    pieces = [
        element("Bdi", running(token), className="differs" if i >= parts else "", title=spelled_out(token))
        for i, token in enumerate(tokens)
    ]
    return element(
        "Div", pieces or [element("Span", "nothing", className="dim")], className="text", dir="ltr"
    )

"""What a prompt's page shows of a text that the model has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import html

from dashboard import formats
from dashboard.address import feature_path
from dashboard.components.browser import data_of, spoken
from dashboard.components.elements import Element, element, link, table
from dashboard.components.panels import empty, panel
from dashboard.components.tokens import chip
from dashboard.queries import Queries
from dashboard.questions.passages import (
    Candidate,
    FeatureUse,
    Inspected,
    ReadPassage,
    ReadToken,
    ReadWindow,
    feature_maxima,
    named,
    uses,
)
from dashboard.token_view import label, spelled_out, visible

USES_SHOWN = 60


def drawn_data(queries: Queries, found: ReadPassage) -> dict[str, Any]:
    """What the browser draws the text from: tokens as they are shown, and all their activations."""
    present = tuple(dict.fromkeys(found.features.tolist()))
    maxima = feature_maxima(queries)
    return {
        "windows": [_window_data(window) for window in found.windows],
        "indptr": found.indptr.tolist(),
        "features": found.features.tolist(),
        "acts": [float(f"{act:.6g}") for act in found.acts.tolist()],
        "maxima": {feature: maxima[feature] for feature in present if feature in maxima},
        "names": named(queries, present),
        "base": queries.href(""),
    }


def _window_data(window: ReadWindow) -> dict[str, Any]:
    return {
        "special": window.n_special,
        "shown": [visible(token, keep_spaces=True) for token in window.str_tokens],
        "labels": [label(token) for token in window.str_tokens],
        "titles": [spelled_out(token) for token in window.str_tokens],
    }


def results(found: ReadPassage, queries: Queries) -> Any:
    """The panels around what the browser draws."""
    if not found.n_rows:
        return empty("This text has no token: write a word or two")
    cut = f", in {len(found.windows)} parts that are read apart" if len(found.windows) > 1 else ""
    size = f"{formats.plural(found.n_rows, 'token')}{cut}"
    text = panel(
        "Text",
        [
            html.Div(id="prompt-legend", className="prompt-legend"),
            html.Div(id="prompt-tokens", className="text prompt-tokens", dir="ltr"),
            html.P(size, className="caption", id="prompt-size"),
        ],
        explanation="Each token as the model reads it. Pinned features colour it, each in its own "
        "colour, the deeper the closer to the feature's maximum over the corpus. Choose a token by a click, "
        "or with the arrow keys. Longer texts are cut into consecutive examples, as the corpus is.",
        anchor="prompt-text-panel",
    )
    strongest = panel(
        "Strongest features, token by token",
        html.Div(id="prompt-rows", className="prompt-rows", tabIndex=0),
        explanation="The features with the largest activations on each token, strongest first; the colour "
        "says how close the activation is to the feature's maximum over the corpus.",
        anchor="prompt-rows-panel",
    )
    token = html.Div(id="prompt-token")
    columns = [
        html.Div([text, strongest], className="column"),
        html.Div([token, uses_panel(queries, found)], className="column"),
    ]
    return html.Div(columns, className="prompt-columns")


def uses_panel(queries: Queries, found: ReadPassage) -> Any:
    """Which features fire over the whole text."""
    listed = uses(found)
    names = named(queries, tuple(use.feature for use in listed[:USES_SHOWN]))
    rows = [_use_row(queries, use, names) for use in listed[:USES_SHOWN]]
    more = f"{formats.plural(len(listed), 'feature')} fire"
    more += f"; the {USES_SHOWN} with the largest activations are shown." if len(listed) > USES_SHOWN else "."
    headings = ["Feature", "Maximum", "Mean", "Tokens", ""]
    shown = table(headings, rows, "Features over the whole text", kind="prompt-uses")
    return panel(
        "Over the whole text",
        [html.Div(shown, className="table-scroll tall", tabIndex=0), html.P(more, className="caption")],
        explanation="Maximum and mean of the feature's activation over all tokens of the text (zeros "
        "included), and the tokens on which it fires. Hover a feature to see where that is; pin it to keep "
        "the colour.",
        anchor="prompt-uses-panel",
    )


def _use_row(queries: Queries, use: FeatureUse, names: Mapping[int, str]) -> list[Any]:
    return [
        feature_link(queries, use.feature, names),
        formats.decimal(use.maximum, 4),
        formats.decimal(use.mean),
        formats.count(use.count),
        pin_button(use.feature),
    ]


def feature_link(queries: Queries, feature: int, names: Mapping[int, str]) -> Element:
    """A feature's number, with its label where it has one; the text shows where it fires meanwhile."""
    name = names.get(feature)
    inner = [f"{feature}", element("Span", name, className="feature-name")] if name else f"{feature}"
    shown = link(inner, queries.href(feature_path(feature)), className="feature-link")
    return element("Span", shown, **data_of("feature", feature))


def pin_button(feature: int) -> Element:
    """Pins a feature, or takes its pin away; the browser says which."""
    words = spoken(f"Pin feature {feature}")
    return element("Button", "pin", className="pin-button", **data_of("pin", feature), **words)


def token_panel(queries: Queries, token: ReadToken, found: Inspected) -> Any:
    """The chosen token: what may come next, and what each feature adds to one next token."""
    title = ["After ", chip(token.token), html.Span(f" {token.place}", className="dim")]
    return panel(
        "Chosen token",
        [
            html.Div(title, className="prompt-chosen"),
            html.H3("Likeliest next tokens", className="sub"),
            _candidates(found),
            html.Div(next_token_search(), className="prompt-search"),
            html.H3(
                ["Features here, and what each adds to the logit of ", chip(found.chosen.token)],
                className="sub",
            ),
            *_contributions(queries, found),
        ],
        explanation="Contribution: activation × direct logit effect, a · (W_dec[f] ⊙ gain) · W_U[token] / σ, "
        "with σ of this very row at the final norm (the artifacts take its mean over rows); in logits. Later "
        "layers may add to it. Choose another next token in the list, or search for one.",
        anchor="prompt-token-panel",
    )


def _candidates(found: Inspected) -> html.Div:
    shown = list(found.likely)
    if found.chosen not in shown:
        shown.append(found.chosen)
    rows = [_candidate(candidate, candidate == found.chosen) for candidate in shown]
    return html.Div(rows, className="next-tokens table-scroll", id="prompt-next-tokens", tabIndex=0)


def _candidate(candidate: Candidate, is_chosen: bool) -> html.Button:
    bar = html.Span(className="bar", style={"--share": f"{candidate.probability:.4f}"})
    return html.Button(
        [
            html.Span(label(candidate.token), className="token-chip plain"),
            bar,
            html.Span(formats.share(candidate.probability), className="num"),
        ],
        className="next-token here" if is_chosen else "next-token",
        title=f"{spelled_out(candidate.token)} · contributions to this token",
        **data_of("next", candidate.token_id),
    )


def _contributions(queries: Queries, found: Inspected) -> list[Any]:
    if not len(found.features):
        return [empty("No feature fires on this token")]
    size = found.acts if found.contributions is None else np.abs(found.contributions)
    order = np.argsort(-size, kind="stable").tolist()
    names, maxima = named(queries, found.features), feature_maxima(queries)
    rows = [_contribution_row(queries, found, i, names, maxima) for i in order]
    headings = ["Feature", "Activation", "of its maximum", "Contribution, logits", ""]
    listed = table(headings, rows, "Features on the chosen token", kind="prompt-contributions")
    total = "" if found.contributions is None else formats.signed(float(found.contributions.sum()), 4)
    note = (
        f"No contributions: {found.reason}."
        if found.contributions is None
        else f"{formats.plural(len(order), 'feature')}; together {total} of the token's logit of "
        f"{formats.signed(found.logit, 4)}. The rest comes from later layers, the SAE's error and its bias."
    )
    return [
        html.Div(listed, className="table-scroll tall", tabIndex=0),
        html.P(note, className="caption"),
    ]


def _contribution_row(
    queries: Queries, found: Inspected, i: int, names: Mapping[int, str], maxima: Mapping[int, float]
) -> list[Any]:
    feature, act = int(found.features[i]), float(found.acts[i])
    top = maxima.get(feature)
    return [
        feature_link(queries, feature, names),
        formats.decimal(act, 4),
        formats.share(act / top) if top else formats.ABSENT,
        formats.ABSENT if found.contributions is None else formats.signed(float(found.contributions[i]), 4),
        pin_button(feature),
    ]


def next_token_search() -> dmc.Select:
    """Any token of the vocabulary, found by what is typed."""
    return dmc.Select(
        id="prompt-next-search",
        data=[],
        searchable=True,
        clearable=True,
        placeholder="Next token to explain: type to search",
        nothingFoundMessage="No token holds that",
        size="xs",
        w=280,
        **spoken("Search for a next token"),
    )

"""The panels of a token's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
import polars as pl
from dash import dcc, html

from dashboard import formats
from dashboard.address import DIGITS, AddressError, feature_path, shortened, token_path
from dashboard.components.browser import spoken
from dashboard.components.elements import Element, element, link, still, table
from dashboard.components.facts import Fact, tiles
from dashboard.components.panels import empty, filled, panel
from dashboard.components.sorted_grid import sorted_grid
from dashboard.components.step_links import Step, step_link
from dashboard.components.token_texts import marked_text
from dashboard.components.tokens import chip
from dashboard.grid import Sort
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.tokens import (
    Occurrences,
    Push,
    all_effects,
    features_on,
    occurrences,
    strongest_pushes,
    token_table,
)
from dashboard.sorted_rows import GridColumn
from dashboard.tables import optional

PUSHES_SHOWN = 15
INFLUENCE = (
    "What one unit of a feature's activation adds to this token's logit by the direct path: "
    "s · (W_dec[f] ⊙ gain) · W_U[:, token], with s the mean inverse scale of the final norm."
)
EFFECT_COLUMNS = (
    GridColumn("feature", "Feature", "Number of the SAE's latent, from 0.", 90, "FeatureCell"),
    GridColumn("effect", "Logits per unit", INFLUENCE, 120, formatter="lightwellDecimal"),
    GridColumn(
        "promotes",
        "Promotes",
        "The three tokens whose logits rise most when the feature fires.",
        230,
        "TokensCell",
        sortable=False,
    ),
    GridColumn(
        "frac_active",
        "Share active",
        "Share of all rows on which the feature fires; 0 to 1.",
        110,
        formatter="lightwellDecimal",
    ),
    GridColumn(
        "max", "Max activation", "Largest activation over all rows.", 110, formatter="lightwellDecimal"
    ),
)
"""Columns of the grid of all features by their effect on a token."""


def page_number(value: object) -> int:
    """The number of a page of texts, from 1; raises AddressError for what is none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    number = int(str(value)) if is_number or (isinstance(value, str) and DIGITS.fullmatch(value)) else 0
    if number < 1:
        raise AddressError(f"page {shortened(value)}", "a whole number from 1", "choose a page of the texts")
    return number


def heading(queries: Queries, token_id: int) -> html.Div:
    """The token, its neighbours by id, and what is counted of it."""
    row = token_table(queries).row(token_id, named=True)
    last = len(queries.vocabulary()) - 1
    steps = [
        _step(queries, PREVIOUS, token_id - 1 if token_id else None),
        _step(queries, NEXT, token_id + 1 if token_id < last else None),
    ]
    title = [
        html.H1(["Token ", html.Span(chip(row["token"] or ""), id="token-title")]),
        html.Div(steps, className="steps-nav"),
        html.Span(f"id {token_id:,} of 0 to {last:,}", className="dim"),
        html.Span("special", className="state", title="A special token") if row["is_special"] else None,
        html.Div(className="grow"),
        dcc.Link("All tokens", href=queries.href("/tokens")),
    ]
    counted = tiles(_facts(queries, row))
    return html.Div([html.Div(title, className="feature-title"), counted], className="page-head")


PREVIOUS = Step("previous", "←", "Previous token by id (left arrow key)")
NEXT = Step("next", "→", "Next token by id (right arrow key)")


def _step(queries: Queries, step: Step, token_id: int | None) -> Any:
    return step_link(step, None if token_id is None else queries.href(token_path(token_id)))


def _facts(queries: Queries, row: dict[str, Any]) -> list[Fact]:
    n_rows, corpus, store = (
        row.get("n_rows"),
        optional(lambda: summaries.corpus(queries)),
        optional(queries.store),
    )
    share = None if n_rows is None or store is None else n_rows / max(store.n_rows, 1)
    examples = formats.count(corpus.n_examples if corpus else None)
    return [
        Fact("Rows", formats.count(n_rows), f"{formats.share(share)} of all", "Rows at which it stands"),
        Fact(
            "Examples",
            formats.count(row.get("document_frequency")),
            f"of {examples} hold it",
            "Document frequency (df): examples that hold it at least once",
        ),
        Fact("IDF", formats.decimal(row.get("idf")), "nats", "ln((N + 1) / (df + 1)), N all examples"),
        Fact(
            "Features firing",
            formats.count(row.get("n_features")),
            f"of {formats.count(store.d_sae if store else None)}",
            "Features that fire on at least one of its rows",
        ),
    ]


def pushes_panel(queries: Queries, token_id: int) -> Any:
    """The features that raise the token's logit most, and those that lower it most."""

    def content() -> Any:
        ways = (("Pushed up by", "promotes"), ("Pushed down by", "suppresses"))
        found = [(name, strongest_pushes(queries, token_id, way)[:PUSHES_SHOWN]) for name, way in ways]
        if not any(pushes for _, pushes in found):
            return empty("No feature has an effect on this token: it has no place in the output layer")
        return html.Div([_way(queries, name, pushes) for name, pushes in found], className="ways")

    body = filled(queries, "token_influences", content)
    return panel("Features that push it", body, explanation=INFLUENCE, anchor="pushes")


def _way(queries: Queries, name: str, pushes: Sequence[Push]) -> Element:
    known = _promoted(queries, [push.feature for push in pushes])
    rows = [[_feature(queries, push.feature, known), formats.signed(push.influence, 4)] for push in pushes]
    return table([name, "Logits per unit"], rows, name, kind="feature-rows")


def _promoted(queries: Queries, features: Sequence[int]) -> dict[int, str]:
    """What the features promote, as the table of features has it; empty where that is absent."""
    known = optional(queries.feature_table)
    if known is None or "promotes" not in known.columns:
        return {}
    found = known.filter(pl.col("feature").is_in(list(features)))
    return dict(zip(found["feature"].to_list(), found["promotes"].to_list(), strict=True))


def _feature(queries: Queries, feature: int, promoted: dict[int, str]) -> Element:
    words = promoted.get(feature)
    number = link(f"{feature}", queries.href(feature_path(feature)), className="feature-link")
    said = [element("Span", words, className="feature-words", title=f"promotes {words}")] if words else []
    return element("Span", [number, *said], className="feature-named")


def effects_panel(queries: Queries, token_id: int, sorts: Sequence[Sort]) -> Any:
    """Every feature by its effect on the token, sorted on the server."""

    def content() -> Any:
        all_effects(queries, token_id)
        order = sorts or (Sort("effect", descending=True),)
        grid = sorted_grid(
            "effects-grid",
            EFFECT_COLUMNS,
            order,
            "All features by their effect on this token",
            row_id="feature",
            height="380px",
        )
        return [html.Div(id="effects-note", role="status", className="dim"), grid]

    body = filled(queries, "directions", content)
    return panel("All features by their effect on it", body, explanation=INFLUENCE, anchor="effects")


def fires_panel(queries: Queries, token_id: int) -> Any:
    """The features that fire on the token most."""

    def content() -> Any:
        found = features_on(queries, token_id)
        n_rows = token_table(queries).row(token_id, named=True).get("n_rows")
        if found.is_empty():
            return empty(_why_silent(n_rows))
        known = _promoted(queries, found["feature"].to_list())
        rows = [
            [
                _feature(queries, row["feature"], known),
                formats.share(row["n_active"] / n_rows) if n_rows else formats.count(row["n_active"]),
                formats.decimal(row["mean_act"]),
                formats.decimal(row["max_act"]),
            ]
            for row in found.iter_rows(named=True)
        ]
        headings = ["Feature", "Share of its rows", "Mean activation", "Max"]
        name = "Features that fire on the token"
        return html.Div(
            table(headings, rows, name, kind="feature-rows"),
            className="table-scroll",
            tabIndex=0,
            **spoken(name),
        )

    return panel(
        "Features that fire on it",
        filled(queries, "token_features", content),
        explanation="By mean activation over all rows of the token, silent ones included; "
        "beside each feature the tokens that it promotes.",
        anchor="fires",
    )


def _why_silent(n_rows: int | None) -> str:
    if n_rows == 0:
        return "This token stands on no row of the corpus, so no feature can fire on it"
    return "No feature fires on any row of this token"


def texts_panel(queries: Queries, token_id: int, page: int) -> Any:
    """Texts in which the token stands, some at a time."""

    def content() -> Any:
        found = occurrences(queries, token_id, page)
        listed = html.Div(_text_parts(queries, found), id="token-texts")
        return [_pager(found), listed] if found.n_pages > 1 else listed

    body = filled(queries, "token_features", content)
    return panel("Where it stands", body, anchor="texts")


def _pager(found: Occurrences) -> html.Div:
    field = dmc.NumberInput(
        id="texts-page",
        value=found.page,
        min=1,
        max=found.n_pages,
        clampBehavior="strict",
        allowDecimal=False,
        debounce=300,
        size="xs",
        w=84,
        **spoken("Page of texts"),
    )
    earlier, later = _turn("←", "Earlier texts", -1), _turn("→", "Later texts", 1)
    return html.Div(
        [earlier, field, html.Span(["of ", html.Span(f"{found.n_pages:,}", id="texts-last")]), later],
        className="pager",
    )


def _turn(sign: str, words: str, by: int) -> html.Button:
    named: dict[str, Any] = {"data-by": str(by), **spoken(words)}
    return html.Button(sign, className="step-link turns-page", title=words, **named)


def text_list(queries: Queries, token_id: int, page: int) -> list[Any]:
    """One page of the texts, with the token marked; raises AddressError beyond the last."""
    return _text_parts(queries, occurrences(queries, token_id, page))


def _text_parts(queries: Queries, found: Occurrences) -> list[Any]:
    if not found.shown:
        return [empty("This token stands on no row of the corpus")]
    times = f"{formats.plural(found.n_rows, 'row')} in {formats.plural(found.n_texts, 'text')}"
    about = f"On {times}, in the corpus's order; the example of each text that holds it first."
    return [html.P(about, className="caption"), still(*(marked_text(queries, one) for one in found.shown))]

"""Two sets of texts in contrast: which they are, and the features that differ most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from dashboard import formats
from dashboard.address import Address, AddressError, one_of
from dashboard.components.browser import answered_in_browser, in_browser, spoken
from dashboard.components.choices import choice
from dashboard.components.elements import Element, element, table
from dashboard.components.panels import empty, filled, panel
from dashboard.components.prompt_panels import feature_link
from dashboard.components.writing import failed, state_sentence, text_field
from dashboard.queries import Queries
from dashboard.questions.contrast import (
    Choice,
    choice_of,
    corpus_groups,
    metadata_columns,
    texts_of,
    written_group,
)
from dashboard.questions.differences import MEASURES, Differences, Group, differences, ranked
from dashboard.questions.passages import named, too_long
from precompute.errors import LightwellError

SOURCES = (("written", "Write texts"), ("corpus", "Texts of the corpus"))
SPLITS = (("lines", "One text a line"), ("whole", "Each field is one text"))
WORDS = {"texts": "Share of texts", "rows": "Share of tokens", "mean": "Mean activation"}
"""The measures in few words."""
RANKED = 40
"""Features that are shown each way."""
LOST = (
    "These texts were too long for an address, so they stayed in the browser where they were written. "
    "Write or paste them here"
)


@dataclass(frozen=True)
class Asked:
    """Two sets of texts as the page sends them: not yet checked."""

    source: str
    a: object
    b: object
    split: object = "lines"


def layout(queries: Queries, asked: Address) -> html.Div:
    """What is compared, as the address says; the answer comes later."""
    given = asked.parameters
    source = one_of(given.get("source"), tuple(key for key, _ in SOURCES), "source")
    measure = one_of(given.get("measure"), tuple(MEASURES), "measure")
    split = one_of(given.get("split"), tuple(key for key, _ in SPLITS), "split")
    named_here = {name: given[name] for name in ("a", "b", "kept") if name in given}
    address = {"source": source, "split": split, **named_here} if named_here else None
    controls = html.Div([_sources(queries, source), _measures(measure)], className="contrast-controls")
    fields = _choosing(queries, given) if source == "corpus" else _writing(given, split)
    return html.Div(
        [
            dcc.Store(id="contrast-address", data=address),
            dcc.Store(id="contrast-asked"),
            dcc.Store(id="contrast-source", data=source),
            panel("Two sets of texts", fields, controls=controls, anchor="contrast-writing"),
            html.Div(_waiting(queries, source, address), id="contrast-results"),
        ]
    )


def _sources(queries: Queries, source: str) -> html.Nav:
    links = [
        dcc.Link(
            words,
            href=queries.href("/prompt?mode=contrast" + ("" if key == "written" else f"&source={key}")),
            className="here" if key == source else "",
        )
        for key, words in SOURCES
    ]
    return html.Nav(links, className="navigation", **spoken("Where the texts are from"))


def _measures(measure: str) -> dmc.SegmentedControl:
    return choice("contrast-measure", [(key, WORDS[key]) for key in MEASURES], measure, "What is compared")


def _writing(given: Mapping[str, str], split: str) -> list[Any]:
    fields = [
        html.Div(
            [
                html.Label(f"Set {name.upper()}", htmlFor=f"contrast-{name}", className="sub"),
                text_field(f"contrast-{name}", f"Texts of set {name.upper()}", given.get(name, ""), rows=4),
            ]
        )
        for name in ("a", "b")
    ]
    kept = "Too long for an address: these texts are kept in this browser, and the link works in it alone."
    row = [
        dmc.Button("Compare", id="contrast-compare", size="xs"),
        choice("contrast-split", SPLITS, split, "How the fields are cut into texts"),
        html.Span(kept if "kept" in given else "Ctrl+Enter compares.", className="dim"),
    ]
    return [html.Div(fields, className="ways"), html.Div(row, className="prompt-bar")]


def _choosing(queries: Queries, given: Mapping[str, str]) -> list[Any]:
    """Two values of the corpus's metadata."""

    def chosen() -> list[Any]:
        columns = metadata_columns(queries)
        if not columns:
            return [
                empty("The texts of this corpus have no metadata column with a few values to choose from")
            ]
        options = [
            {"group": name, "items": [f"{name}:{value}" for value in values]}
            for name, values in columns.items()
        ]
        a, b = (_value_select(name, options, given.get(name)) for name in ("a", "b"))
        return [
            html.Div([a, b, dmc.Button("Compare", id="contrast-compare", size="xs")], className="prompt-bar")
        ]

    return [html.Div(filled(queries, "corpus", chosen))]


def _value_select(name: str, options: list[dict[str, Any]], value: str | None) -> dmc.Select:
    rest = "; empty is all other texts" if name == "b" else ""
    return dmc.Select(
        id=f"contrast-{name}",
        data=options,
        value=value or None,
        searchable=True,
        clearable=True,
        limit=100,
        placeholder=f"Set {name.upper()}: a metadata value{rest}",
        size="xs",
        w=300,
        **spoken(f"Texts of set {name.upper()}"),
    )


def _waiting(queries: Queries, source: str, address: object) -> Any:
    if address is None:
        return empty("Nothing is compared yet: fill both sets above and press Compare")
    sentence = "The texts are compared …" if source == "corpus" else state_sentence(queries.inference.state)
    return html.Div(sentence, className="empty", role="status")


def register(app: Dash, queries: Queries) -> None:
    """Comparing: the browser keeps the texts in the address, the server answers."""
    asked = Output("contrast-asked", "data")
    answered_in_browser(app, "contrastAsked", asked, Input("contrast-address", "data"))
    fields = [State(f"contrast-{name}", "value") for name in ("a", "b")]
    in_browser(
        app,
        "contrastCompare",
        Input("contrast-compare", "n_clicks"),
        *fields,
        State("contrast-source", "data"),
    )
    in_browser(app, "remember_measure", Input("contrast-measure", "value"))

    @app.callback(
        Output("contrast-results", "children"),
        Input("contrast-asked", "data"),
        Input("contrast-measure", "value"),
        prevent_initial_call=True,
    )
    def compares(asked: object, measure: object) -> Any:
        return no_update if asked is None else results(queries, asked, measure)


def results(queries: Queries, asked: object, measure: object) -> Any:
    """The features that differ most, each way."""
    compared = one_of(measure, tuple(MEASURES), "measure")
    if isinstance(asked, dict) and asked.get("lost"):
        return empty(LOST)
    try:
        a, b = groups(queries, asked_of(asked))
    except LightwellError as error:
        return failed(error)
    found = differences(a, b, compared)
    ways = [_way(queries, found, sign, name) for sign, name in ((1, "A"), (-1, "B"))]
    sizes = f"A: {formats.plural(a.n_texts, 'text')}. B: {formats.plural(b.n_texts, 'text')}."
    alone = " One text alone says nothing of the spread over texts, so there is no interval."
    note = alone if compared != "texts" and 1 in (a.n_texts, b.n_texts) else ""
    return [
        html.P(f"{sizes} Compared: {MEASURES[compared]}.{note}", className="caption", id="contrast-about"),
        html.Div(ways, className="ways contrast-ways"),
    ]


def asked_of(asked: object) -> Asked:
    """What the page asks for; raises AddressError for what no page sends."""
    given = asked if isinstance(asked, dict) else {}
    if "length" in given:
        raise too_long(given["length"])
    source = one_of(given.get("source"), tuple(key for key, _ in SOURCES), "source")
    return Asked(source, given.get("a", ""), given.get("b", ""), given.get("split"))


def groups(queries: Queries, asked: Asked) -> tuple[Group, Group]:
    """Both sets as features see them; raises AddressError where one of them has no text."""
    if asked.source == "corpus":
        a, b = (choice_of(queries, value) for value in (asked.a, asked.b))
        return corpus_groups(queries, chosen_first(a), b)
    split = one_of(asked.split, tuple(key for key, _ in SPLITS), "split")
    a_texts, b_texts = (texts_of(value, split) for value in (asked.a, asked.b))
    if not a_texts or not b_texts:
        raise AddressError("a set without a text", "a text in A and in B", "write or paste some")
    return written_group(queries, a_texts), written_group(queries, b_texts)


def chosen_first(choice_a: Choice | None) -> Choice:
    """The value of set A; raises AddressError for none."""
    if choice_a is None:
        raise AddressError("no texts in A", "a metadata value", "choose one for A")
    return choice_a


def _way(queries: Queries, found: Differences, sign: int, name: str) -> Any:
    chosen = ranked(found, sign, RANKED)
    title = f"More in {name}"
    if not chosen:
        return panel(title, empty(f"No feature has more in {name}"), anchor=f"more-{name.lower()}")
    names = named(queries, tuple(chosen))
    widest = float(np.nanmax(np.abs([found.difference[chosen], found.low[chosen], found.high[chosen]])))
    rows = [_row(queries, found, feature, names, widest) for feature in chosen]
    headings = ["Feature", "A", "B", "A − B", "95 % interval", ""]
    return panel(
        title,
        html.Div(
            table(headings, rows, title, kind="contrast-table"), className="table-scroll tall", tabIndex=0
        ),
        explanation="Ranked by the difference. Intervals are over texts, since tokens of one text are not "
        "independent: Newcombe's for shares of texts, Welch's for means. Each is for its feature alone; "
        "among thousands of features some intervals miss 0 by chance.",
        anchor=f"more-{name.lower()}",
    )


def _row(
    queries: Queries, found: Differences, feature: int, names: Mapping[int, str], widest: float
) -> list[Any]:
    as_share = found.measure != "mean"
    written = formats.share if as_share else formats.decimal

    def number(values: Any) -> str:
        value = float(values[feature])
        return written(value) if np.isfinite(value) else formats.ABSENT

    both = f"{number(found.low)} to {number(found.high)}"
    interval = both if np.isfinite(found.low[feature]) else formats.ABSENT
    return [
        feature_link(queries, feature, names),
        number(found.a),
        number(found.b),
        number(found.difference),
        interval,
        _bar(found, feature, widest),
    ]


def _bar(found: Differences, feature: int, widest: float) -> Element:
    """The difference as a dot and its interval as a line, on one scale with 0 in the middle."""

    def place(value: float) -> str:
        return f"{50 + 45 * value / widest if widest else 50:.2f}%"

    low, high = float(found.low[feature]), float(found.high[feature])
    at = {"--at": place(float(found.difference[feature]))}
    at |= {"--low": place(low), "--high": place(high)} if np.isfinite(low) else {}
    line = [element("Span", className="line")] if np.isfinite(low) else []
    return element("Span", [*line, element("Span", className="dot")], className="interval", style=at)

"""The page of a text that a person writes: what fires on it, and two sets of texts in contrast."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from dashboard.address import Address, AddressError, feature_number, one_of
from dashboard.components import contrast_panels, prompt_panels
from dashboard.components.browser import answered_in_browser, in_browser, spoken
from dashboard.components.choices import field
from dashboard.components.panels import empty, panel
from dashboard.components.writing import failed, state_sentence, text_field
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions.passages import (
    Passage,
    checked_text,
    feature_list,
    inspect,
    matching_tokens,
    passage_of,
    read,
    too_long,
)
from dashboard.token_view import label
from precompute.errors import LightwellError

MODES = ("text", "contrast")
LOST = (
    "This text was too long for an address, so it stayed in the browser where it was written. "
    "Write or paste it here"
)


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, as its address says."""
    mode = one_of(asked.parameters.get("mode"), MODES, "mode")
    head = html.Div([html.H1("Prompt"), _modes(queries, mode)], className="prompt-head")
    missing = queries.inference.unavailable()
    notice = None if missing is None else empty(f"The model is not there: {missing}")
    if mode == "contrast":
        return html.Div([head, notice, contrast_panels.layout(queries, asked)])
    if missing is not None:
        return html.Div([head, notice])
    return html.Div([head, *_one_text(queries, asked)])


def _modes(queries: Queries, mode: str) -> html.Nav:
    links = [("text", "One text", "/prompt"), ("contrast", "Contrast", "/prompt?mode=contrast")]
    shown = [
        dcc.Link(words, href=queries.href(href), className="here" if key == mode else "")
        for key, words, href in links
    ]
    return html.Nav(shown, className="navigation", **spoken("Kinds of prompts"))


def _one_text(queries: Queries, asked: Address) -> list[Any]:
    parameters = asked.parameters
    address = _address_data(queries, parameters)
    pins = feature_list(queries, parameters.get("pins", parameters.get("feature")), "pinned features")
    token, chosen = (_number(parameters.get(name), name) for name in ("token", "next"))
    return [
        dcc.Store(id="prompt-address", data=address),
        dcc.Store(id="prompt-asked"),
        dcc.Store(id="prompt-data"),
        dcc.Store(id="prompt-place", data=token),
        dcc.Store(id="prompt-next", data=chosen),
        dcc.Store(id="prompt-pins", data=list(pins)),
        panel("What the model reads", _writing(address, pins), anchor="prompt-writing"),
        html.Div(_waiting(queries, address), id="prompt-results"),
    ]


def _address_data(queries: Queries, parameters: Any) -> dict[str, Any]:
    """What the address names: a text, an example, or a text that this browser keeps."""
    named = [name for name in ("text", "example", "kept") if name in parameters]
    if len(named) > 1:
        raise AddressError(" and ".join(named), "one of them", "remove the others from the address")
    if "example" in parameters:
        return {"example": passage_of(queries, None, parameters["example"]).example}
    if "text" in parameters:
        return {"text": checked_text(parameters["text"])}
    return {"kept": parameters["kept"][:40]} if "kept" in parameters else {}


def _number(value: str | None, name: str) -> int | None:
    try:
        return None if value is None else feature_number(value)
    except AddressError as error:
        raise AddressError(error.found.replace("feature", name), error.expected, error.remedy) from None


def _writing(address: dict[str, Any], pins: tuple[int, ...]) -> list[Any]:
    example = address.get("example")
    kept = "Too long for an address: this text is kept in this browser, and the link works in it alone."
    notes = {
        "example": f"Example {example} of the corpus, by its own tokens.",
        "kept": kept,
    }
    note = next((words for name, words in notes.items() if name in address), "Ctrl+Enter reads.")
    inside = f"Example {example} is shown; write or paste a text to read that" if example is not None else ""
    row = [
        dmc.Button("Read", id="prompt-read", size="xs"),
        html.Span(note, className="dim", id="prompt-note"),
        html.Div(className="grow"),
        field("prompt-pins-field", "Pinned features", "12, 405", value=", ".join(map(str, pins)), width=220),
    ]
    written = text_field("prompt-text", "Text for the model", address.get("text", ""), inside)
    return [written, html.Div(row, className="prompt-bar")]


def _waiting(queries: Queries, address: dict[str, Any]) -> Any:
    if not address:
        return empty("Nothing is read yet: write a text above, or open an example of a feature as a prompt")
    return html.Div(state_sentence(queries.inference.state), className="empty", role="status")


def register(app: Dash, queries: Queries) -> None:
    """Reading, choosing a token, searching for a next one; the browser draws the text."""
    asked = Output("prompt-asked", "data")
    answered_in_browser(app, "promptAsked", asked, Input("prompt-address", "data"))
    in_browser(app, "promptRead", Input("prompt-read", "n_clicks"), State("prompt-text", "value"))
    in_browser(app, "promptNext", Input("prompt-next-search", "value"))
    drawn = ("prompt-data", "prompt-pins", "prompt-place")
    in_browser(app, "drawPrompt", *(Input(name, "data") for name in drawn))

    @app.callback(
        Output("prompt-pins", "data"), Input("prompt-pins-field", "value"), prevent_initial_call=True
    )
    def pins(written: object) -> list[int]:
        return list(feature_list(queries, written, "pinned features"))

    @app.callback(
        Output("prompt-results", "children"),
        Output("prompt-data", "data"),
        Input("prompt-asked", "data"),
        prevent_initial_call=True,
    )
    def reads(asked: object) -> tuple[Any, Any]:
        return _read(queries, asked)

    @app.callback(
        Output("prompt-token", "children"),
        Input("prompt-place", "data"),
        Input("prompt-next", "data"),
        Input("prompt-token", "id"),
        State("prompt-asked", "data"),
    )
    def token(place: object, next_token: object, _drawn: object, asked: object) -> Any:
        return _token(queries, asked, place, next_token)

    @app.callback(
        Output("prompt-next-search", "data"),
        Input("prompt-next-search", "searchValue"),
        prevent_initial_call=True,
    )
    def search(typed: object) -> Any:
        found = matching_tokens(queries, typed) if isinstance(typed, str) and typed else []
        return [{"value": str(number), "label": f"{label(token)}  ({number})"} for number, token in found]

    contrast_panels.register(app, queries)


def _passage(queries: Queries, asked: object) -> Passage:
    given = asked if isinstance(asked, dict) else {}
    if "length" in given:
        raise too_long(given["length"])
    return passage_of(queries, given.get("text", ""), given.get("example"))


def _read(queries: Queries, asked: object) -> tuple[Any, Any]:
    """The panels of a text, and what the browser draws in them."""
    if asked is None:
        return no_update, no_update
    if isinstance(asked, dict) and asked.get("lost"):
        return empty(LOST), None
    try:
        found = read(queries, _passage(queries, asked))
    except LightwellError as error:
        return failed(error), None
    data = prompt_panels.drawn_data(queries, found) if found.n_rows else None
    return prompt_panels.results(found, queries), data


def _token(queries: Queries, asked: object, place: object, next_token: object) -> Any:
    passage = _passage(queries, asked)
    chosen = None if next_token is None else feature_number(next_token)
    try:
        found = read(queries, passage)
        number = found.n_rows - 1 if place is None else feature_number(place)
        window, position = found.place(number)
        inspected = inspect(queries, passage, (window, position), chosen)
    except LightwellError as error:
        return failed(error)
    return prompt_panels.token_panel(queries, found.token_at(number), inspected)


PARAMETERS = frozenset(
    {"mode", "text", "example", "kept", "pins", "feature", "token", "next"}
    | {"source", "measure", "split", "a", "b"}
)
"""Those of one text, and those of two sets in contrast."""

PAGE = Page(
    "/prompt",
    "Prompt",
    "What fires on a text of your own, and on two sets of texts in contrast.",
    layout,
    register,
    parameters=PARAMETERS,
)

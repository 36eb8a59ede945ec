"""Section: the feature, or several, set to other activations on a text, and what the model does then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from dashboard.address import Address, one_of
from dashboard.components.browser import answered_in_browser, data_of, in_browser, spoken
from dashboard.components.choices import choice, field
from dashboard.components.effect_panels import outcome
from dashboard.components.panels import empty
from dashboard.components.writing import failed, state_sentence, text_field
from dashboard.queries import Queries
from dashboard.questions.interventions import (
    MODES,
    PLACES,
    Writing,
    change_of,
    outcome_of,
    plan_of,
    set_names,
    together,
    writing_of,
)
from dashboard.questions.passages import checked_text, feature_maxima, passage_of
from dashboard.sections.section import Filling, Section
from dashboard.tables import optional
from dashboard.token_view import running
from precompute.errors import LightwellError

MODE_WORDS = ("Set to 0", "Set to", "Add")
PLACE_WORDS = ("On every token", "On the chosen token")
NAMES = ("effect", "on", "text", "kept", "at", "also", "set", "places", "draw")
"""What of the address is this section's."""
EXAMPLES_OFFERED = 12
SHOWN_BEFORE, SHOWN_AFTER = 10, 4
"""Tokens of an example in its line of the list."""
LOST = (
    "This text was too long for an address, so it stayed in the browser where it was written. "
    "Write or paste it here"
)


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """What is done to what; the model is asked later, and only if a person wants that."""
    missing = queries.inference.unavailable()
    if missing is not None:
        return Filling(empty(f"The model is not there: {missing}"))
    given = {name: asked.parameters[name] for name in NAMES if name in asked.parameters}
    _check(queries, feature, given)
    options = _examples(queries, feature)
    usual = options[0]["value"] if options else None
    address = {"on": usual, **given} if "effect" in given else None
    waits = "Choose an example or write a text, say what to do to the feature, and press Run"
    sentence = empty(waits) if address is None else _waiting(queries)
    return Filling(
        [
            dcc.Store(id="effect-address", data=address),
            dcc.Store(id="effect-asked"),
            _text_fields(options, given),
            _change_fields(queries, feature, given),
            html.Div(sentence, id="effect-results", **data_of("usual", usual or "")),
        ]
    )


def _check(queries: Queries, feature: int, given: Mapping[str, str]) -> None:
    """Raise AddressError for what is odd in the address; the model is not asked."""
    if "effect" in given:
        change_of(given["effect"])
    if "on" in given:
        passage_of(queries, None, given["on"])
    checked_text(given.get("text", ""))
    together(queries, feature, given)
    one_of(given.get("places"), PLACES, "places")
    writing_of(given.get("draw"))


def _waiting(queries: Queries) -> html.Div:
    return html.Div(state_sentence(queries.inference.state), className="empty", role="status")


def _text_fields(options: list[dict[str, str]], given: Mapping[str, str]) -> html.Div:
    chosen = given.get("on") or (options[0]["value"] if options else None)
    if chosen and all(option["value"] != chosen for option in options):
        options = [*options, {"value": chosen, "label": f"example {chosen}"}]
    examples = dmc.Select(
        id="effect-on",
        data=options,
        value=chosen,
        placeholder="An example" if options else "No example: write a text",
        size="xs",
        **spoken("Example on which the feature is changed"),
    )
    placeholder = "Or write a text; while there is one, it takes the place of the example"
    written = text_field(
        "effect-text", "Text on which the feature is changed", given.get("text", ""), placeholder, 1
    )
    return html.Div([examples, written], className="effect-texts")


def _examples(queries: Queries, feature: int) -> list[dict[str, str]]:
    """The feature's strongest examples, each in a line."""

    def found() -> list[dict[str, str]]:
        listed = queries.rows_of("examples", feature)
        top = listed.filter(listed["band"] == "top").sort("rank")
        top = top.unique("example", keep="first", maintain_order=True).head(EXAMPLES_OFFERED)
        rows = zip(top["example"], top["position"], top["activation"], strict=True)
        return [{"value": str(e), "label": f"{act:.4g} · {_line(queries, e, p)}"} for e, p, act in rows]

    return optional(found) or []


def _line(queries: Queries, example: int, position: int) -> str:
    """The tokens around the active one."""
    token_ids = queries.tables.table("windows", "corpus")["token_ids"][example]
    first = max(0, position - SHOWN_BEFORE)
    tokens = queries.vocabulary()
    shown = [running(tokens[i]) for i in token_ids[first : position + SHOWN_AFTER + 1].to_list()]
    here = position - first
    return "".join([*shown[:here], "[", shown[here], "]", *shown[here + 1 :]])


def _change_fields(queries: Queries, feature: int, given: Mapping[str, str]) -> html.Div:
    mode, value = change_of(given.get("effect", "zero"))
    usual = feature_maxima(queries).get(feature, 1.0)
    shown = f"{value if mode != 'zero' else usual:.4g}"
    places = one_of(given.get("places"), PLACES, "places")
    writing = writing_of(given.get("draw"))
    modes = choice("effect-mode", tuple(zip(MODES, MODE_WORDS, strict=True)), mode, "What is done")
    fields = [
        modes,
        field("effect-value", "Value", "activation", value=shown, width=92),
        choice("effect-places", tuple(zip(PLACES, PLACE_WORDS, strict=True)), places, "On which tokens"),
        field("effect-also", "Together with", "12, 40", value=given.get("also"), width=170),
        *_sets(queries, given.get("set")),
        *_writing(writing),
        dmc.Button("Run", id="effect-run", size="xs"),
    ]
    return html.Div(fields, className="conditions effect-fields")


def _sets(queries: Queries, chosen: str | None) -> list[Any]:
    """A choice among the named sets; where there are none, a store keeps its place."""
    names = optional(lambda: set_names(queries)) or []
    if not names:
        return [dcc.Store(id="effect-set")]
    data = [{"value": name, "label": running(name)} for name in names]
    words = spoken("Set of features that is changed together with this one")
    return [
        dmc.Select(
            id="effect-set",
            data=data,
            value=chosen,
            placeholder="And a set",
            clearable=True,
            size="xs",
            w=150,
            **words,
        )
    ]


def _writing(writing: Writing) -> list[Any]:
    """How much is written on, and how it is drawn."""
    named = {
        "length": ("Tokens to write", writing.n_tokens, 64),
        "temperature": ("Temperature", f"{writing.temperature:g}", 64),
        "seed": ("Seed", writing.seed, 64),
    }
    return [
        html.Label(
            [
                html.Span(words, className="dim"),
                field(f"effect-{name}", words, "", value=str(value), width=width),
            ],
            className="effect-number",
        )
        for name, (words, value, width) in named.items()
    ]


def register(app: Dash, queries: Queries) -> None:
    """Run; what is run goes into the address."""
    asked = Output("effect-asked", "data")
    answered_in_browser(app, "effectAsked", asked, Input("effect-address", "data"))
    names = ("mode", "value", "on", "text", "places", "also", "set", "length", "temperature", "seed")
    values = [State(f"effect-{name}", "value") for name in names]
    in_browser(app, "effectRun", Input("effect-run", "n_clicks"), *values)

    @app.callback(
        Output("effect-results", "children"),
        Input("effect-asked", "data"),
        State("feature-number", "data"),
        prevent_initial_call=True,
        running=[(Output("effect-run", "loading"), True, False)],
    )
    def runs(given: object, number: object) -> Any:
        feature = queries.known_feature(number)
        return no_update if given is None else results(queries, feature, given)


def results(queries: Queries, feature: int, given: object) -> Any:
    """What a change does, or why that cannot be said."""
    wanted = given if isinstance(given, dict) else {}
    if wanted.get("lost"):
        return empty(LOST)
    try:
        plan = plan_of(queries, feature, wanted)
        return outcome(queries, plan, outcome_of(queries, plan))
    except LightwellError as error:
        return failed(error)


SECTION = Section(
    anchor="effect",
    title="Ablate or steer",
    place="right",
    steps=("examples", "corpus"),
    explanation="The model reads the text again with the feature's activation a set to a' at the SAE's site: "
    "x' = x + (a' - a) · W_dec[f], so what the SAE does not explain is kept. Features that are changed "
    "together get the same a', or the same is added to each. Tokens that are written anew are changed too. "
    "KL is that of the next token's probabilities, before against after. Other features change only where "
    "x' differs, since nothing flows from a site back to itself.",
    layout=layout,
    register=register,
    short="Effect",
    parameters=NAMES,
)

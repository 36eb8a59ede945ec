"""Traits: how well their vectors separate the sides, the features they lie along, and steering by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Dash, Input, Output, State, dcc, html

from dashboard.address import Address
from dashboard.asks import Ask
from dashboard.components import trait_panels
from dashboard.components.browser import in_browser
from dashboard.components.compute import control
from dashboard.components.elements import still
from dashboard.components.embedding_states import outdated
from dashboard.components.panels import empty, filled, panel
from dashboard.components.writing import failed, state_sentence
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions import traits
from dashboard.questions.summaries import hook_name
from dashboard.questions.traits import View
from precompute.errors import ArtifactMissingError, CorruptArtifactError, LightwellError

LEAD = (
    "A trait is a direction of the residual stream: responses that show it against responses that do not. "
    "AUC, effect size and projections are of responses that were held out of every fit."
)
FIELDS = ("text", "strength", "length", "temperature", "seed")
"""Of the form that steers, by their names in the address."""


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, as its address says."""
    try:
        view = traits.view_of(queries, asked.parameters)
    except (ArtifactMissingError, CorruptArtifactError) as error:
        return html.Div([html.H1("Traits"), _missing(queries, asked.parameters.get("trait"), error)])
    given = {name: asked.parameters[name] for name in FIELDS if name in asked.parameters}
    return html.Div(
        [
            dcc.Store(id="trait-view", data=_named(view)),
            html.Div([html.H1("Traits"), *_others(queries)], className="grid-bar map-head"),
            html.P(LEAD, className="dim"),
            trait_panels.choices(queries, view),
            html.Div(id="trait-states"),
            trait_panels.facts(view),
            html.Div(
                [trait_panels.separation(view.trait), trait_panels.projections(view)],
                className="density-columns",
            ),
            html.Div([_nearest(queries, view), _differing(queries, view)], className="density-columns"),
            html.Div(
                [_responses(queries, view), _steering(queries, view, given)], className="density-columns"
            ),
        ]
    )


def _named(view: View) -> dict[str, str]:
    return {"trait": view.trait.key, "method": view.method, "site": view.site}


def _missing(queries: Queries, name: str | None, error: LightwellError) -> html.Div:
    """Why there is nothing to show, and what makes it."""
    sentence, _, command = str(error).partition("; run: ")
    known = traits.defined(queries)
    chosen = name if name in known else next(iter(known), None)
    ask = None if chosen is None else _ask(queries, chosen)
    return empty(sentence, (command or None) and command + queries.options, ask)


def _ask(queries: Queries, name: str) -> Ask | None:
    """The job that computes a trait; None for one that was defined after the server began."""
    ask = Ask(f"traits:{name.replace(traits.SEPARATOR, ':')}")
    return ask if queries.jobs is None or ask.model_type in queries.jobs.works else None


def _others(queries: Queries) -> list[Any]:
    """Traits that are defined and have no vectors yet, each with a button."""
    there = traits.computed(queries)
    lacking = [(name, _ask(queries, name)) for name in traits.defined(queries) if name not in there]
    return [
        html.Div(
            [html.Span(f"{name} is not computed", className="dim"), control(ask)], className="trait-lacking"
        )
        for name, ask in lacking
        if ask is not None
    ]


def _nearest(queries: Queries, view: View) -> Any:
    def content() -> Any:
        if not traits.is_at_sae(queries, view):
            return empty(_elsewhere(queries, view))
        shown = trait_panels.features(queries, view)
        return html.Div(shown, className="trait-found", tabIndex=0)

    return panel(
        "SAE features closest to the vector",
        filled(queries, "directions", content),
        explanation="Cosine of the vector with every decoder direction; below 0 the feature points away.",
        anchor="trait-features",
    )


def _elsewhere(queries: Queries, view: View) -> str:
    if not traits.is_of_model(queries, view.trait):
        return f"The trait is of another model than {queries.model_type.name}'s"
    here = hook_name(queries)
    return (
        f"The SAE reads {here}, and this vector lies at {view.site}: choose that site above, if it is there"
    )


def _asked_later(queries: Queries, view: View, title: str, explanation: str, anchor: str) -> Any:
    """A panel that only the model can fill."""
    missing = queries.inference.unavailable()
    if missing is None and not traits.is_of_model(queries, view.trait):
        missing = _elsewhere(queries, view)
    words = state_sentence(queries.inference.state) if missing is None else missing
    wait = html.Div(words, className="empty", role="status")
    name = f"{anchor}-found" if missing is None else f"{anchor}-none"
    inside = html.Div(wait, id=name, className="trait-found", tabIndex=0)
    return panel(title, inside, explanation=explanation, anchor=anchor)


def _differing(queries: Queries, view: View) -> Any:
    return _asked_later(
        queries,
        view,
        "Features that differ between the sides",
        "Mean activation over a response's tokens, mean over at most 200 responses of each side; intervals "
        "are Welch's, over responses. The SAE reads its own site, whatever the vector's.",
        "trait-differences",
    )


def _responses(queries: Queries, view: View) -> Any:
    return _asked_later(
        queries,
        view,
        "Responses, token by token",
        "Each token's projection onto the vector: green on the positive side of the point halfway between "
        "the means of the sides, red on the negative side; full colour one separation away.",
        "trait-responses",
    )


def _steering(queries: Queries, view: View, given: dict[str, str]) -> Any:
    if queries.inference.unavailable() is not None or not traits.is_of_model(queries, view.trait):
        return _asked_later(queries, view, "Steer", "", "trait-steering")
    content = [*trait_panels.steering(given), html.Div(id="trait-written")]
    return panel(
        "Steer",
        content,
        explanation="The model writes on from a text as it is, and with strength · separation · vector added "
        "at the site to every token. Both draw alike, so what differs is the vector's.",
        anchor="trait-steering",
    )


def register(app: Dash, queries: Queries) -> None:
    """What only the model can say, once the page is there; steering; whether what is shown is up to date."""

    @app.callback(Output("trait-differences-found", "children"), Input("trait-view", "data"))
    def differs(chosen: object) -> Any:
        return _answer(lambda: _different(queries, _view(queries, chosen)))

    @app.callback(Output("trait-responses-found", "children"), Input("trait-view", "data"))
    def reads(chosen: object) -> Any:
        view = _view(queries, chosen)
        return _answer(lambda: still(*trait_panels.responses(view, traits.shown_responses(queries, view))))

    @app.callback(Output("trait-states", "children"), Input("trait-view", "data"))
    def freshness(chosen: object) -> Any:
        return _outdated(queries, _view(queries, chosen))

    values = [State(f"trait-{name}", "value") for name in FIELDS]

    @app.callback(
        Output("trait-written", "children"),
        Input("trait-write", "n_clicks"),
        State("trait-view", "data"),
        *values,
        prevent_initial_call=True,
        running=[(Output("trait-write", "loading"), True, False)],
    )
    def steers(_clicks: object, chosen: object, *given: object) -> Any:
        view, form = _view(queries, chosen), dict(zip(FIELDS, given, strict=True))
        return _answer(lambda: still(*trait_panels.written(traits.steered(queries, view, form))))

    in_browser(app, "rememberSteering", Input("trait-write", "n_clicks"), *values)


def _view(queries: Queries, chosen: object) -> View:
    return traits.view_of(queries, chosen if isinstance(chosen, dict) else {})


def _answer(ask: Callable[[], Any]) -> Any:
    """What the model says, or why it says nothing."""
    try:
        return ask()
    except LightwellError as error:
        return failed(error)


def _different(queries: Queries, view: View) -> Any:
    return trait_panels.differing(queries, *traits.feature_differences(queries, view))


def _outdated(queries: Queries, view: View) -> Any:
    ask = _ask(queries, view.trait.key)
    if queries.jobs is None or ask is None:
        return None
    states = tuple(queries.jobs.states(ask.model_type).all().values())
    command = f"python -m precompute.extraction run --experiment {view.trait.experiment}"
    return outdated(states, ask, f"{command} --traits {view.trait.name}{queries.options}")


PAGE = Page(
    "/traits",
    "Traits",
    "Trait vectors: how well they separate both sides, the features they lie along, and steering by them.",
    layout,
    register,
    parameters=frozenset({"trait", "method", "site", *FIELDS}),
)

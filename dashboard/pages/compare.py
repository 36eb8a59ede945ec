"""Two to ten features side by side."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from dashboard.address import Address, AddressError, feature_path, one_of, shortened, with_parameters
from dashboard.components import comparison_panels as parts
from dashboard.components.browser import in_browser, spoken
from dashboard.components.choices import choice, field
from dashboard.components.panels import absent, empty, filled, panel
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions.comparison import MOST, features_of, one_of_features, overlap
from precompute.errors import LightwellError

PATH = "/compare"
WIDE_FROM = 5
"""With so many features, parts stand one below the other rather than in two columns."""


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page of the features that the address names."""
    try:
        features = features_of(queries, asked.parameters.get("features"))
    except LightwellError as error:
        if queries.absence(error, "activations") is None:
            raise
        return html.Div([html.H1("Compare"), absent(queries, "activations", error)])
    head = [heading(queries, features), dcc.Store(id="compared", data=list(features))]
    if len(features) < 2:
        return html.Div([*head, _too_few(features)])
    given = asked.parameters
    colour = one_of_features(given.get("colour"), features, features[0])
    under = one_of_features(given.get("under"), features, features[1])
    measure = one_of(given.get("measure"), tuple(parts.MEASURES), "measure")
    left = [
        statistics_panel(queries, features),
        overlap_panel(queries, features, measure),
        surroundings_panel(queries, features),
    ]
    right = [*token_panels(queries, features), examples_panel(queries, features, colour, under)]
    columns = [html.Div(left, className="column"), html.Div(right, className="column")]
    wide = " one-column" if len(features) >= WIDE_FROM else ""
    return html.Div([*head, html.Div(columns, className=f"compare-columns{wide}")])


def heading(queries: Queries, features: tuple[int, ...]) -> html.Div:
    """The features, each with a link that takes it away, and a field for one more."""
    add = field("compare-add", "Add feature", "number", value=None, width=170)
    chosen = [_chosen(queries, features, feature) for feature in features]
    pieces = [
        html.H1("Compare"),
        html.Div(chosen, className="chips", id="compared-features"),
        *([add] if len(features) < MOST else []),
    ]
    return html.Div(pieces, className="compare-head")


def _chosen(queries: Queries, features: tuple[int, ...], feature: int) -> html.Span:
    rest = [str(other) for other in features if other != feature]
    without = with_parameters(PATH, {"features": ",".join(rest)} if rest else {})
    return html.Span(
        [
            dcc.Link(f"{feature}", href=queries.href(feature_path(feature)), className="chip-feature"),
            dcc.Link(
                html.Span("×", role="img", **spoken(f"Take feature {feature} out")),
                href=queries.href(without),
                className="filter-off",
                title="Take it out of the comparison",
            ),
        ],
        className="feature-chip",
    )


def _too_few(features: tuple[int, ...]) -> html.Div:
    more = "Name another feature above" if features else "Name features above, one after the other"
    return empty(f"{more}, or choose 2 to {MOST} rows on the Features page and press Compare")


def statistics_panel(queries: Queries, features: tuple[int, ...]) -> Any:
    """How often and how strongly each fires."""
    return panel(
        "Statistics",
        filled(queries, "feature_stats", lambda: parts.statistics(queries, features)),
        explanation="As in the table of features; hover a name for what it means.",
        anchor="statistics",
    )


def overlap_panel(queries: Queries, features: tuple[int, ...], measure: str) -> Any:
    """Rows that each two share."""
    options = [(key, name) for key, (name, _) in parts.MEASURES.items()]
    control = choice("measure", options, measure, "What the table of pairs shows")
    content = filled(queries, "transpose", lambda: pairs(queries, features, measure))
    return panel(
        "Overlap of rows",
        [html.Div(control, className="bands"), html.Div(content, id="pairs")],
        explanation="Counted exactly, over all rows (token positions). Jaccard = n_both / n_either; "
        "lift = n_both · n_rows / (n_a · n_b); Pearson over all rows, zeros included; cosine of the decoder "
        "directions.",
        anchor="overlap",
    )


def pairs(queries: Queries, features: tuple[int, ...], measure: str) -> list[Any]:
    """The table of pairs."""
    return parts.pairs(queries, overlap(queries, features), measure)


def surroundings_panel(queries: Queries, features: tuple[int, ...]) -> Any:
    """What stands around the rows on which they fire."""
    return panel(
        "Typical surroundings (TF-IDF)",
        filled(queries, "tfidf", lambda: parts.surroundings(queries, features)),
        explanation="Tokens of the windows of 5 tokens each side of where a feature fires: "
        "tf · ln((N+1)/(df+1)). Tokens that stand in several lists are marked.",
        anchor="surroundings",
    )


def token_panels(queries: Queries, features: tuple[int, ...]) -> list[Any]:
    """What they do to tokens, and where they agree."""
    own = panel(
        "Tokens",
        filled(queries, "influences", lambda: parts.own_tokens(queries, features)),
        explanation="The direct logit effect s · (W_dec[f] ⊙ gain) · W_U; tokens that stand in several "
        "lists are marked.",
        anchor="own-tokens",
    )
    agreement = panel(
        "Shared and opposed tokens",
        filled(queries, "directions", lambda: parts.agreement(queries, features)),
        explanation="Over the whole vocabulary, in logits per unit of activation. Effects are weighed by "
        "their feature's own spread, effect / std; a token that all push the same way counts by the weakest "
        "of them, one that divides them by the weaker of the two extremes.",
        anchor="agreement",
    )
    return [own, agreement]


def examples_panel(queries: Queries, features: tuple[int, ...], colour: int, under: int) -> Any:
    """Texts on which at least two fire."""
    content = filled(queries, "transpose", lambda: parts.examples(queries, features, colour, under))
    controls = html.Div(
        [_select("colour", "Colour", features, colour), _select("under", "Underline", features, under)],
        className="layer-choice",
    )
    return panel(
        "Shared examples",
        html.Div(content, id="shared-examples"),
        explanation="Examples on which most of the features fire, then by the largest sum of activations on "
        "one token, each as a share of its feature's maximum. Numbers above a text are each feature's "
        "largest activation in it.",
        controls=controls,
        anchor="shared",
    )


def _select(name: str, label: str, features: tuple[int, ...], chosen: int) -> html.Label:
    options = [{"value": str(feature), "label": f"{feature}"} for feature in features]
    select = dmc.Select(
        id=name, data=options, value=str(chosen), size="xs", w=96, allowDeselect=False, **spoken(label)
    )
    return html.Label([label, select])


def register(app: Dash, queries: Queries) -> None:
    """The measure of pairs and the two features on the texts; each goes into the address."""

    @app.callback(
        Output("pairs", "children"),
        Input("measure", "value"),
        State("compared", "data"),
        prevent_initial_call=True,
    )
    def measured(measure: object, chosen: object) -> Any:
        features, known = _compared(queries, chosen), one_of(measure, tuple(parts.MEASURES), "measure")
        return filled(queries, "transpose", lambda: pairs(queries, features, known))

    @app.callback(
        Output("shared-examples", "children"),
        Input("colour", "value"),
        Input("under", "value"),
        State("compared", "data"),
        prevent_initial_call=True,
    )
    def shared(colour: object, under: object, chosen: object) -> Any:
        features = _compared(queries, chosen)
        layers = [one_of_features(value, features, features[0]) for value in (colour, under)]
        return filled(queries, "transpose", lambda: parts.examples(queries, features, *layers))

    in_browser(app, "rememberMeasure", Input("measure", "value"))
    in_browser(app, "rememberLayers", Input("colour", "value"), Input("under", "value"))
    in_browser(app, "addToCompared", Input("compare-add", "value"), State("compared", "data"))


def _compared(queries: Queries, value: object) -> tuple[int, ...]:
    """The features that the page shows, as the browser sends them back; raises AddressError."""
    if not isinstance(value, list) or not 2 <= len(value) <= MOST:
        raise AddressError(f"features {shortened(value)}", f"2 to {MOST} features", "reload the page")
    return features_of(queries, ",".join(str(queries.known_feature(feature)) for feature in value))


PAGE = Page(
    PATH,
    "Compare",
    "Two to ten features side by side.",
    layout,
    register,
    parameters=frozenset({"features", "measure", "colour", "under"}),
)

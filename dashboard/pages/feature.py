"""The page of one feature."""

from __future__ import annotations

from itertools import chain

from dash import Dash, Input, Output, dcc, html

from dashboard.address import Address
from dashboard.components import label_editor
from dashboard.components.browser import answered_in_browser, spoken
from dashboard.components.feature_heading import heading
from dashboard.components.panels import absent
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.sections import SECTIONS
from precompute.errors import LightwellError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page of the feature that the address names."""
    try:
        feature = queries.known_feature(asked.parts[1])
    except LightwellError as error:
        if queries.absence(error, "activations") is None:
            raise
        return html.Div([html.H1("Feature"), absent(queries, "activations", error)])
    columns = [
        html.Div(
            [section.show(queries, feature, asked) for section in SECTIONS if section.place == place],
            className="column",
        )
        for place in ("left", "right")
    ]
    return html.Div(
        [
            dcc.Store(id="feature-number", data=feature),
            dcc.Store(id="arrived"),
            dcc.Store(id="range", data=asked.parameters.get("range", "")),
            heading(queries, feature, [label_editor.label_editor(queries, feature, asked)]),
            section_links(),
            html.Div(columns, className="feature-columns"),
        ]
    )


def section_links() -> html.Nav:
    """Links to the sections, which stay in sight."""
    links = [html.A(section.short or section.title, href=f"#{section.anchor}") for section in SECTIONS]
    return html.Nav(links, className="section-links", **spoken("Sections of this page"))


def register(app: Dash, queries: Queries) -> None:
    """The callbacks of every section."""
    for section in SECTIONS:
        section.register(app, queries)
    label_editor.register(app, queries)
    # The browser has looked for the section of a link before the page was there; without an output it would
    # not be called when the page is drawn.
    answered_in_browser(app, "arrive", Output("arrived", "data"), Input("feature-number", "data"))


def titled(asked: Address) -> str:
    """The title names the feature."""
    return f"Feature {asked.parts[1][:9]}"


PARAMETERS = frozenset(
    {label_editor.QUEUE_PARAMETER, *chain.from_iterable(section.parameters for section in SECTIONS)}
)

PAGE = Page(
    "/feature/<number>",
    "Feature",
    "Everything about one feature.",
    layout,
    register,
    in_navigation=False,
    titled=titled,
    parameters=PARAMETERS,
    example="/feature/1",
)

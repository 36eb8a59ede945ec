"""Section: the nearest features of the other model types, which may be the same one in another SAE."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, html

from dashboard.address import Address, feature_path
from dashboard.components.elements import Element, element, still
from dashboard.components.panels import command_of, empty
from dashboard.components.tokens import phrase_of_labels
from dashboard.queries import Queries
from dashboard.questions.matching import NEAREST, Match, Matches, matches
from dashboard.sections.section import Filling, Section
from precompute.errors import LightwellError

ROW, HEADING = 27, 34
"""Pixels of a match and of a model type's name, kept free until they are there."""


def layout(queries: Queries, _feature: int, _asked: Address) -> Filling:
    """Where the matches will be. They are looked up after the page is drawn: another model type's directions
    may have to be read first."""
    others = queries.place.others()
    if not others:
        return Filling(
            empty(
                "This server shows one model type, so there is no other SAE to compare with; "
                "more of them are sections [model_types.NAME] of the file that --config names"
            )
        )
    height = len(others) * (HEADING + NEAREST * ROW)
    wait = html.Span("Comparing directions…", className="dim")
    return Filling(html.Div(wait, id="matches-found", style={"minHeight": f"{height}px"}))


def nearest_elsewhere(queries: Queries, value: object) -> list[html.Div]:
    """The nearest features of each other model type."""
    feature = queries.known_feature(value)
    return [_one(queries, name, feature) for name in queries.place.others()]


def _one(queries: Queries, name: str, feature: int) -> html.Div:
    try:
        found = matches(queries, queries.place.others()[name](), feature)
    except LightwellError as error:
        return html.Div([html.H3(name, className="sub"), _absent(queries, error)])
    return html.Div([html.H3(_heading(found), className="sub"), _content(queries, found)])


def _absent(queries: Queries, error: LightwellError) -> html.Div:
    message, command = str(error), command_of(str(error))
    return empty(f"{message.split('; run:', maxsplit=1)[0]}.", command and command + queries.options)


def _heading(found: Matches) -> str:
    parts = [found.name, found.hook_name or "", "" if found.same_model else "of another model"]
    return " · ".join(part for part in parts if part)


def _content(queries: Queries, found: Matches) -> Any:
    if found.d_in != found.other_d_in:
        sentence = f"Its SAE reads {found.other_d_in:,} numbers a row, this one {found.d_in:,}"
        return empty(f"{sentence}: their directions cannot be compared")
    base = queries.place.base_of(found.name)
    rows = [_row(base, match) for match in found.nearest]
    return still(element("Div", rows, className="matches"))


def _row(base: str, match: Match) -> Element:
    # Another model type is another app below its own name, so the browser loads its page anew.
    link = element(
        "A",
        f"{match.feature}",
        href=base + feature_path(match.feature),
        className="match-feature",
        title="Open it in that model type",
    )
    cosine = element(
        "Span", f"{match.cosine:.3f}", className="match-cosine", title="cosine of decoder directions"
    )
    return element("Div", [link, cosine, phrase_of_labels(match.promotes)], className="match")


def register(app: Dash, queries: Queries) -> None:
    """Look the features up once the section is there."""
    if not queries.place.others():
        return

    @app.callback(Output("matches-found", "children"), Input("feature-number", "data"))
    def found(feature: object) -> Any:
        return nearest_elsewhere(queries, feature)


SECTION = Section(
    anchor="matches",
    title="In other SAEs",
    place="left",
    steps=("directions",),
    explanation="The nearest features of each other model type by the cosine of decoder directions, "
    "W_dec[f] · W_dec'[g] / (|W_dec[f]| |W_dec'[g]|), among all of its features: 1 is the same direction. "
    "SAEs that read rows of the same width can be compared; it means most where they read the same "
    "model's residual stream.",
    layout=layout,
    register=register,
)

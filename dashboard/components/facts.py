"""Facts: names with values, as tiles or as a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import html


@dataclass(frozen=True)
class Fact:
    """One value with its name."""

    name: str
    value: Any
    """A text, or a component such as a link."""
    detail: str = ""
    """In smaller print: the unit, or what the number is out of."""
    explanation: str = ""
    """On demand: what it means, with the formula."""


def tiles(facts: Iterable[Fact]) -> html.Dl:
    """Facts side by side, for numbers that are read at a glance."""
    return html.Dl([_tile(fact) for fact in facts], className="tiles")


def _tile(fact: Fact) -> html.Div:
    value = [html.Span(fact.value, className="tile-value"), html.Span(fact.detail, className="tile-detail")]
    return html.Div([html.Dt(_name(fact)), html.Dd(value)], className="tile")


def _name(fact: Fact) -> Any:
    """The name; it explains itself on hover, on keyboard focus and on touch."""
    if not fact.explanation:
        return fact.name
    return dmc.Tooltip(
        html.Span(fact.name, className="explains", tabIndex=0),
        label=fact.explanation,
        multiline=True,
        w=280,
        withArrow=True,
        events={"hover": True, "focus": True, "touch": True},
    )


def listed(facts: Iterable[Fact]) -> html.Dl:
    """Facts one under the other, for names and paths."""
    rows = [
        html.Div(
            [
                html.Dt(fact.name),
                html.Dd(
                    [fact.value, html.Span(fact.detail, className="fact-detail")]
                    if fact.detail
                    else fact.value
                ),
            ],
            title=fact.explanation or None,
        )
        for fact in facts
    ]
    return html.Dl(rows, className="facts")

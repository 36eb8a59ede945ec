"""What a section of the feature page is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dash import Dash

from dashboard.address import Address
from dashboard.components.panels import Content, filled, outdated, panel
from dashboard.queries import Queries


@dataclass(frozen=True)
class Filling:
    """What a section shows of one feature."""

    content: Content
    controls: Content = None
    """Beside the title; None where there is nothing to choose."""


def no_callbacks(_app: Dash, _queries: Queries) -> None:
    """For a section that never changes once it is drawn."""


@dataclass(frozen=True)
class Section:
    """One titled part of the feature page; a new one is a module with a SECTION and one line in the list."""

    anchor: str
    """What a link to it ends with after the #; the id of its panel."""
    title: str
    place: Literal["left", "right"]
    """The column in which it stands; sections follow each other there as in the list."""
    steps: tuple[str, ...]
    """Whose artifacts it shows; the first is named where it is empty."""
    explanation: str
    """What it shows, with the formula; given on demand."""
    layout: Callable[[Queries, int, Address], Filling]
    """What it shows of a feature, as the address says; raises LightwellError where that is nothing."""
    register: Callable[[Dash, Queries], None] = no_callbacks
    """Adds its callbacks to an app."""
    parameters: tuple[str, ...] = ()
    """What of the address it reads."""
    short: str = ""
    """Its name in the row of links to sections, where the title is long."""

    def show(self, queries: Queries, feature: int, asked: Address) -> Any:
        """The section's panel; where it cannot be filled, only the panel says so."""
        found = filled(queries, self.steps[0], lambda: self.layout(queries, feature, asked), False)
        shown = found if isinstance(found, Filling) else Filling(found)
        content = shown.content if isinstance(shown.content, list) else [shown.content]
        old = [outdated(queries, step) for step in self.steps] if shown is found else []
        return panel(
            self.title,
            [*filter(None, old), *content],
            explanation=self.explanation,
            controls=shown.controls,
            anchor=self.anchor,
        )

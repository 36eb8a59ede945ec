"""Links from one thing to the next of its kind; the arrow keys follow them by their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dash import dcc, html


@dataclass(frozen=True)
class Step:
    """A way to another one."""

    name: str
    """Id of the link, which the keys know: previous, next, random."""
    sign: str
    title: str


def step_link(step: Step, href: str | None, look: str = "") -> Any:
    """The link, or a pale sign where there is none to go to."""
    if href is None:
        return html.Span(step.sign, className="step-link off", title="There is none")
    return dcc.Link(
        step.sign, href=href, id=step.name, className=f"step-link {look}".strip(), title=step.title
    )

"""What is handed to the browser: names for those who hear a page, and functions of the scripts in assets/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State


def spoken(text: str) -> dict[str, Any]:
    """The keyword by which a component is given a name that is read aloud."""
    return {"aria-label": text}


def other_base(base: str) -> dict[str, Any]:
    """The keyword by which a link says where another model type's pages begin."""
    return {"data-base": base}


def in_browser(
    app: Dash, function: str, *sources: Input | State, to: Output | Sequence[Output] | None = None
) -> None:
    """Call a function of the scripts in assets/ whenever an input changes; what it answers goes to `to`."""
    chosen = ClientsideFunction("lightwell", function)
    targets = [] if to is None else [to]
    app.clientside_callback(chosen, *targets, *sources, prevent_initial_call=True)


def answered_in_browser(app: Dash, function: str, target: Output, *sources: Input | State) -> None:
    """Let a function of the scripts in assets fill a property, also when the inputs come onto the page."""
    app.clientside_callback(ClientsideFunction("lightwell", function), target, *sources)


def data_of(name: str, value: object) -> dict[str, Any]:
    """The keyword by which an element tells a script what it is about: `data-pin`, `data-next`."""
    return {f"data-{name}": str(value)}

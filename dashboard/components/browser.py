"""What is handed to the browser: names for those who hear a page, and functions of assets/lightwell.js."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, State


def spoken(text: str) -> dict[str, Any]:
    """The keyword by which a component is given a name that is read aloud."""
    return {"aria-label": text}


def other_base(base: str) -> dict[str, Any]:
    """The keyword by which a link says where another model type's pages begin."""
    return {"data-base": base}


def in_browser(app: Dash, function: str, *sources: Input | State) -> None:
    """Call a function of assets/lightwell.js whenever an input changes; it answers nothing to the app."""
    chosen = ClientsideFunction("lightwell", function)
    app.clientside_callback(chosen, *sources, prevent_initial_call=True)  # type: ignore[no-untyped-call]

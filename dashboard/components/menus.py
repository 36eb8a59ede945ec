"""Buttons that open something: a menu, or a box with fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html


def menu_target(words: Sequence[Any], class_name: str, name: str) -> dmc.MenuTarget:
    """The button of a menu. It is the menu's own wrapper, which would otherwise have a button's roles too."""
    wrapper = {"component": "button", "type": "button", "className": class_name}
    return dmc.MenuTarget(html.Span(list(words), id=name), boxWrapperProps=wrapper)


def popover(label: str, content: Sequence[Any], name: str, width: int) -> dmc.Popover:
    """A button that opens something; Escape closes it and gives the focus back."""
    return dmc.Popover(
        [
            dmc.PopoverTarget(html.Button(button_words(label), id=name, className="bar-button")),
            dmc.PopoverDropdown(list(content), className="bar-popover"),
        ],
        # Its roles would go to a wrapper that is no button.
        withRoles=False,
        trapFocus=True,
        returnFocus=True,
        position="bottom-end",
        shadow="md",
        width=width,
    )


def button_words(label: str) -> list[Any]:
    """What stands on a button that opens something."""
    return [label, html.Span("▾", className="caret")]

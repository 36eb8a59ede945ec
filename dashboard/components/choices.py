"""Fields by which a person chooses what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc

from dashboard.components.browser import spoken


def choice(
    name: str, options: Sequence[tuple[str, str]], value: str, label: str, look: str = ""
) -> dmc.SegmentedControl:
    """A choice of one among a few: pairs of a key and its words."""
    data = [{"value": key, "label": words} for key, words in options]
    return dmc.SegmentedControl(id=name, data=data, value=value, size="xs", className=look, **spoken(label))


def field(
    name: str, label: str, example: str, *, value: str | None, width: int, suggestions: Sequence[str] = ()
) -> Any:
    """A small field that takes effect on Enter, or when it is left; empty is no condition."""
    shown = {"id": name, "value": value or "", "placeholder": f"{label}: {example}", "size": "xs", "w": width}
    shown |= spoken(label)
    if not suggestions:
        return dmc.TextInput(debounce=True, **shown)
    return dmc.Autocomplete(data=list(suggestions), limit=60, debounce=True, clearable=True, **shown)


def search_field(
    name: str,
    value: str,
    example: str,
    label: str,
    *,
    size: str = "sm",
    width: int | None = None,
    by_enter: bool = False,
) -> dmc.TextInput:
    """A field whose search takes effect while one types, or where that costs too much at Enter; without a
    width it has the style sheet's."""
    wide = {} if width is None else {"w": width}
    look = "grid-search" if size == "sm" else ""
    return dmc.TextInput(
        id=name,
        value=value,
        debounce=True if by_enter else 250,
        placeholder=example,
        size=size,
        className=look,
        **wide,
        **spoken(label),
    )


def feature_field(
    name: str, value: int | None, d_sae: int | None, *, example: str, label: str, width: int
) -> dmc.NumberInput:
    """A field for the number of a feature; without `d_sae` any number is taken."""
    return dmc.NumberInput(
        id=name,
        value="" if value is None else value,
        min=0,
        max=(d_sae or 10**9) - 1,
        allowDecimal=False,
        clampBehavior="strict",
        debounce=300,
        placeholder=example,
        size="xs",
        w=width,
        hideControls=True,
        **spoken(label),
    )


def longest(n: int) -> dict[str, Any]:
    """The attributes of a field that takes so many characters."""
    return {"input": {"maxLength": n}}

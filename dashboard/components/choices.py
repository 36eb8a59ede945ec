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

"""Where a person writes for the model, and what is said while it is not there to answer."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard.components.browser import data_of, spoken
from dashboard.components.panels import empty
from dashboard.inference import InferenceError, State
from dashboard.questions.passages import LONGEST_TEXT
from precompute.errors import LightwellError


def text_field(name: str, label: str, value: str, placeholder: str = "", rows: int = 2) -> dmc.Textarea:
    """A field for a text; one that is too long stays in it, and is refused with a sentence."""
    return dmc.Textarea(
        id=name,
        value=value,
        placeholder=placeholder or "Write or paste a text",
        autosize=True,
        minRows=rows,
        maxRows=9,
        className="written",
        **data_of("longest", LONGEST_TEXT),
        **spoken(label),
    )


def state_sentence(state: State) -> str:
    """What a person who asks now has to expect."""
    about = f"about {max(1, round(state.seconds))} s"
    return {
        "not started": f"Loading the model, {about} the first time; later questions take a moment.",
        "loading": f"The model is being loaded, {about} in all.",
        "ready": "The model reads …",
        "died": f"The model's process {state.detail}; it starts anew now, {about}.",
    }[state.name]


def failed(error: LightwellError) -> list[Any]:
    """Why there is no answer; where asking again may help, a button that does."""
    sentence = empty(str(error))
    if not isinstance(error, InferenceError):
        return [sentence]
    return [sentence, html.Button("Try again", className="quiet-button again")]

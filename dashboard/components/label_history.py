"""What was said of a feature and by whom: its changes with ways to take them back, and conflicts."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.labelling.text import FIELD_NAMES, field, signed
from precompute.labels.content import FIELDS, Change, Content
from precompute.labels.store import LabelConflictError

CHANGES_SHOWN = 50
LONGEST_QUOTED = 160
"""Characters of a text that is quoted in the history."""


def about(history: tuple[Change, ...]) -> list[Any]:
    """Who said it last, undo, and every change with a way to take it back."""
    if not history:
        return [html.Span("Nothing is said of this feature yet; what you write is saved at once.")]
    before = (Content(), *(change.content for change in history))
    steps = [_change(change, old) for change, old in zip(history, before, strict=False)]
    shown = steps[::-1][:CHANGES_SHOWN]
    left_out = len(steps) - len(shown)
    more = [html.Li(f"{left_out:,} older changes: see the exported JSON.")] if left_out else []
    return [
        html.Span(["Saved · ", signed(history[-1])], className="label-saved"),
        button("Undo", "undo", title="Take back the last change of yours to this feature"),
        html.Details(
            [html.Summary(f"History ({len(history):,})"), html.Ul([*shown, *more], className="label-history")]
        ),
    ]


def _change(change: Change, before: Content) -> html.Li:
    kinds = {"undo": " · taken back", "merge": " · chosen"}
    words = [
        html.Span([html.B(FIELD_NAMES[name]), f" {_quoted(before, name)} → {_quoted(change.content, name)}"])
        for name in change.content.differing(before)
    ]
    head = html.Span([signed(change), kinds.get(change.kind, "")], className="dim")
    return html.Li(
        [
            head,
            *(words or [html.Span("nothing changed")]),
            button("Take back", "take back", change.uid, title="Restore what was said before this change"),
        ]
    )


def _quoted(content: Content, name: str) -> str:
    text = field(content, name)
    if not text:
        return "nothing"
    return f"“{text if len(text) <= LONGEST_QUOTED else text[: LONGEST_QUOTED - 1] + '…'}”"


def button(words: str, act: str, uid: str = "", *, title: str = "") -> html.Button:
    """A button of the editor; assets/labels.js says which feature's it is."""
    told: dict[str, Any] = {"data-act": act, "data-uid": uid}
    return html.Button(words, className="label-act", title=title, type="button", **told)


def clash(conflict: LabelConflictError) -> html.Div:
    """What somebody else wrote into the same field meanwhile, and the choice between the two."""
    theirs, mine = conflict.theirs, conflict.wanted
    rows = [
        html.Div(
            [
                html.B(FIELD_NAMES[name]),
                html.Span([f"{_quoted(theirs.content, name)} ", html.Span("theirs", className="dim")]),
                html.Span([f"{_quoted(mine, name)} ", html.Span("yours", className="dim")]),
            ],
            className="clash-field",
        )
        for name in conflict.clashing
    ]
    wanted: dict[str, Any] = {
        f"data-{name}": str(v) for name in FIELDS if (v := getattr(mine, name)) is not None
    }
    choices = [
        button("Keep theirs", "theirs", theirs.uid, title="Yours stays in the history"),
        button("Use yours", "mine", theirs.uid, title="Theirs stays in the history"),
    ]
    told = f"{signed(theirs)} changed the same meanwhile. Nothing of yours is written until you choose."
    return html.Div(
        [html.P(told), *rows, html.Div(choices, className="clash-choices")],
        className="label-clash",
        role="alert",
        **wanted,
    )

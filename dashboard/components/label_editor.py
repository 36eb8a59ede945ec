"""The label of a feature, edited in place: every field saves itself; with history, conflicts and sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import MATCH, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from dashboard.address import Address, feature_path
from dashboard.components.browser import in_browser, spoken
from dashboard.components.choices import longest
from dashboard.components.label_history import about, clash
from dashboard.components.panels import empty
from dashboard.labelling import editing, review_queue
from dashboard.queries import Queries
from dashboard.tables import optional
from precompute.errors import LightwellError
from precompute.labels.content import (
    FIELDS,
    LONGEST_CATEGORY,
    LONGEST_LABEL,
    LONGEST_NAME,
    LONGEST_NOTES,
)

SECONDS_BETWEEN_LOOKS = 3
"""How soon a tab sees what another one wrote."""
AUTHOR = "label-author"
QUEUE_PARAMETER = "queue"


def part(name: str, feature: object) -> dict[str, Any]:
    """The id of a part of one feature's editor; an answer that comes late finds no other feature's."""
    return {"type": f"label-{name}", "feature": feature}


def label_editor(queries: Queries, feature: int, asked: Address | None = None) -> html.Div:
    """Label, category, confidence, notes and sets of a feature; with `?queue=` also the way to the next."""
    try:
        history = queries.labels.store.history(feature)
    except LightwellError as error:
        return empty(f"{error}")
    now = editing.said(history[-1] if history else None)
    stores = [dcc.Store(id=part(name, feature), data=now) for name in ("said", "base")]
    stores += [dcc.Store(id=part(name, feature)) for name in ("news", "act")]
    clock = dcc.Interval(id=part("clock", feature), interval=1000 * SECONDS_BETWEEN_LOOKS)
    foot = [
        html.Div(about(history), id=part("about", feature), className="label-about"),
        author_field(queries),
        *_queue(queries, feature, asked),
    ]
    return html.Div(
        [
            *stores,
            clock,
            html.Div(
                [*_said_fields(queries, feature, now), *_sets(queries, feature)], className="label-fields"
            ),
            html.Div(id=part("clash", feature)),
            html.Div(foot, className="label-foot"),
        ],
        id="label-editor",
        className="label-editor",
        role="group",
        **spoken("Label of this feature"),
    )


def _said_fields(queries: Queries, feature: int, now: Mapping[str, Any]) -> list[Any]:
    known = list(optional(queries.labels.categories) or {})
    sure = "" if now["confidence"] is None else now["confidence"]
    return [
        dmc.TextInput(
            id=part("label", feature),
            value=now["label"],
            debounce=True,
            placeholder="Label: what it stands for",
            attributes=longest(LONGEST_LABEL),
            className="label-text",
            size="sm",
            **spoken("Label"),
        ),
        dmc.Autocomplete(
            id=part("category", feature),
            value=now["category"],
            data=known,
            limit=50,
            debounce=True,
            placeholder="Category",
            attributes=longest(LONGEST_CATEGORY),
            size="sm",
            **spoken("Category"),
        ),
        dmc.NumberInput(
            id=part("confidence", feature),
            value=sure,
            min=0,
            max=100,
            step=5,
            suffix=" %",
            allowDecimal=False,
            hideControls=True,
            debounce=True,
            placeholder="Confidence, %",
            size="sm",
            **spoken("Confidence in percent"),
        ),
        dmc.Textarea(
            id=part("notes", feature),
            value=now["notes"],
            debounce=True,
            autosize=True,
            minRows=1,
            maxRows=12,
            placeholder="Notes",
            attributes=longest(LONGEST_NOTES),
            className="label-notes",
            size="sm",
            **spoken("Notes"),
        ),
    ]


def _sets(queries: Queries, feature: int) -> list[Any]:
    found = editing.sets_of(queries.labels, feature)
    return [
        dcc.Store(id=part("sets-shown", feature), data=found),
        dmc.TagsInput(
            id=part("sets", feature),
            value=found,
            data=[entry.name for entry in optional(queries.labels.sets) or ()],
            placeholder="" if found else "Sets it is in",
            attributes=longest(LONGEST_NAME),
            splitChars=[],
            acceptValueOnBlur=False,
            className="label-sets",
            size="sm",
            **spoken("Sets: type a name and press Enter"),
        ),
    ]


def author_field(queries: Queries) -> dmc.TextInput:
    """Who writes; this browser remembers it."""
    return dmc.TextInput(
        id=AUTHOR,
        value=queries.labels.author,
        persistence="author",
        persistence_type="local",
        debounce=True,
        size="xs",
        leftSection="as",
        leftSectionWidth=26,
        attributes=longest(LONGEST_NAME),
        className="label-author",
        **spoken("Your name, kept with what you write"),
    )


def _queue(queries: Queries, feature: int, asked: Address | None) -> list[Any]:
    """Where one comes from the review queue: how much is left, and the next feature without a label."""
    named = asked.parameters.get(QUEUE_PARAMETER) if asked else None
    if named is None:
        return []
    place = review_queue.place(queries, review_queue.known_queue(named), feature)
    words = html.Span(
        f"{place.n_left:,} without a label", className="dim", title=review_queue.in_words(named)
    )
    if place.next is None:
        return [words]
    href = queries.href(feature_path(place.next, queue=named))
    title = f"Next feature without a label, {review_queue.in_words(named).lower()} (key n)"
    return [words, dcc.Link("Next without a label →", href=href, id="next-unlabelled", title=title)]


def answer(queries: Queries, feature: int, outcome: editing.Outcome) -> tuple[Any, Any, Any]:
    """What the editor shows after something was asked: what is said, its history, a conflict."""
    if not outcome.has_changed:
        return no_update, no_update, no_update
    history = about(queries.labels.store.history(feature))
    if outcome.conflict is not None:
        return no_update, history, clash(outcome.conflict)
    return editing.said(outcome.entry), history, None


def asked_feature(queries: Queries) -> int:
    """The feature whose editor asks; raises AddressError for a forged one."""
    cause = ctx.triggered_id
    return queries.known_feature(cause.get("feature") if isinstance(cause, Mapping) else cause)


def register(app: Dash, queries: Queries) -> None:
    """Saving, undo and choices, looking for what others wrote, and the sets."""
    fields = [State(part(name, MATCH), "value") for name in FIELDS]
    who = State(AUTHOR, "value")

    @app.callback(
        Output(part("said", MATCH), "data"),
        Output(part("about", MATCH), "children"),
        Output(part("clash", MATCH), "children"),
        *(Input(part(name, MATCH), "value") for name in FIELDS),
        Input(part("act", MATCH), "data"),
        State(part("base", MATCH), "data"),
        who,
        prevent_initial_call=True,
    )
    def edit(*given: object) -> Any:
        feature, (*values, asked, base, author) = asked_feature(queries), given
        if ctx.triggered_id["type"] == "label-act":
            return answer(queries, feature, editing.act(queries.labels, feature, asked, author))
        return answer(queries, feature, editing.write(queries.labels, feature, values, base, author))

    @app.callback(
        Output(part("news", MATCH), "data"),
        Output(part("about", MATCH), "children", allow_duplicate=True),
        Input(part("clock", MATCH), "n_intervals"),
        State(part("base", MATCH), "data"),
        State(part("news", MATCH), "data"),
        prevent_initial_call=True,
    )
    def look(_ticks: object, base: object, news: object) -> Any:
        feature = asked_feature(queries)
        entry = queries.labels.entry(feature)
        if entry is None or entry.uid in (editing.read_base(base), editing.read_base(news)):
            return no_update, no_update
        return editing.said(entry), about(queries.labels.store.history(feature))

    @app.callback(
        Output(part("sets", MATCH), "value"),
        Output(part("sets-shown", MATCH), "data"),
        Input(part("sets", MATCH), "value"),
        State(part("sets-shown", MATCH), "data"),
        who,
        prevent_initial_call=True,
    )
    def choose_sets(wanted: object, shown: object, author: object) -> Any:
        feature = asked_feature(queries)
        try:
            editing.put_into_sets(queries.labels, feature, shown, wanted, author)
        except LightwellError as error:
            set_props("notice", {"children": html.Div(str(error), className="notice", role="alert")})
        now = editing.sets_of(queries.labels, feature)
        return (no_update if now == wanted else now), now

    news = [Input(part(name, MATCH), "data") for name in ("said", "news")]
    targets = [Output(part(name, MATCH), "value", allow_duplicate=True) for name in FIELDS]
    begun = Output(part("base", MATCH), "data")
    in_browser(app, "showLabel", *news, *fields, State(part("base", MATCH), "data"), to=[*targets, begun])

"""Panels: titled parts of a page, and the sentence in place of one that cannot be filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard.asks import Ask
from dashboard.components.browser import spoken
from dashboard.components.compute import ask_of_command, control
from dashboard.queries import Queries
from precompute.errors import LightwellError, NotApplicableError

Content = Any
"""A Dash component, a text, or a list of them."""
OUTDATED = ("stale", "corrupt")
"""States in which something may be there to be shown that is not what it should be."""


def panel(
    title: str,
    content: Content,
    *,
    explanation: str = "",
    controls: Content = None,
    anchor: str | None = None,
) -> dmc.Paper:
    """A titled part of a page; the explanation is shown on demand."""
    heading = dmc.Group(
        [html.H2(title, className="panel-title"), *([explained(explanation)] if explanation else [])], gap=6
    )
    head = dmc.Group(
        [heading] if controls is None else [heading, controls], justify="space-between", gap="xs"
    )
    named = {"id": anchor} if anchor else {}
    return dmc.Paper(
        [head, html.Div(content, className="panel-body")], className="panel", withBorder=True, **named
    )


def explained(text: str) -> dmc.Tooltip:
    """A small sign that explains on hover and on keyboard focus."""
    sign = html.Span("?", className="explain", tabIndex=0, role="note", **spoken(text))
    return dmc.Tooltip(
        sign,
        label=text,
        multiline=True,
        w=320,
        withArrow=True,
        events={"hover": True, "focus": True, "touch": True},
    )


def filled(queries: Queries, step: str, build: Callable[[], Content], say_outdated: bool = True) -> Content:
    """What `build` makes, or the sentence that says why it cannot and what to do.

    Above what is there but no longer up to date it says so, unless `say_outdated` is false.
    """
    try:
        content = build()
    except LightwellError as error:
        return absent(queries, step, error)
    note = outdated(queries, step) if say_outdated else None
    if note is None:
        return content
    return [note, *content] if isinstance(content, list | tuple) else [note, content]


def outdated(queries: Queries, step: str) -> html.Div | None:
    """That what is shown was computed from something else than there is now; None where it was not."""
    status = queries.states.of(step) if step else None
    if status is None or status.state not in OUTDATED:
        return None
    sentence = f"{status.step} is {status.state}: {status.reason.rstrip('.')}."
    parts = [html.P(sentence, className="empty-sentence"), control(Ask(queries.model_type.name, (step,)))]
    return html.Div(parts, className="empty outdated", role="status")


def absent(queries: Queries, step: str, error: LightwellError) -> html.Div:
    """Why a panel is empty, and the command that fills it."""
    status = queries.absence(error, step)
    message = str(error).split("; run:")[0]
    if status is not None and status.state == "not applicable":
        return empty(f"{step} has no meaning for {queries.model_type.name}: {status.reason}.")
    if isinstance(error, NotApplicableError):
        return empty(message)
    command = command_of(str(error))
    ask = ask_of_command(command, step or None) if command else None
    return empty(f"{message}.", command and command + queries.options, ask)


def command_of(message: str) -> str | None:
    """The command that an error names."""
    _, found, command = message.partition("run: ")
    return command if found else None


def empty(
    sentence: str,
    command: str | None = None,
    ask: Ask | None = None,
    *,
    label: str = "Compute",
    whole_page: bool = False,
    look: str = "empty",
) -> html.Div:
    """A sentence in place of content, a button that has it computed, and a command that does the same."""
    is_name = "_" in sentence.split(" ", 1)[0]
    shown = sentence if is_name else sentence[:1].upper() + sentence[1:]
    parts: list[Content] = [html.P(shown.rstrip(".") + ".", className="empty-sentence")]
    ask = ask or (ask_of_command(command) if command else None)
    if ask is not None:
        parts.append(control(ask, label, whole_page))
    if command:
        lead = "Or run " if ask is not None else "Run "
        parts.append(html.Div([lead, html.Code(command)], className="empty-command"))
    return html.Div(parts, className=look, role="status")


def message_page(queries: Queries, title: str, sentence: str, command: str | None = None) -> html.Div:
    """A whole page that only says something, and leads back."""
    places = [html.A("Overview", href=queries.href("/")), html.A("Features", href=queries.href("/features"))]
    link = html.Div([places[0], " · ", places[1]])
    return html.Div([html.H1(title), empty(sentence, command), link], className="message-page")

"""What an intervention did: next tokens before and after, other features, both continuations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard import formats
from dashboard.components.browser import data_of
from dashboard.components.elements import Element, element, table
from dashboard.components.panels import empty
from dashboard.components.prompt_panels import feature_link
from dashboard.components.tokens import chip, scale
from dashboard.queries import Queries
from dashboard.questions.interventions import Outcome, Plan, Written, change_in_nats
from dashboard.questions.passages import ReadWindow, feature_maxima, named
from dashboard.token_view import running, spelled_out


def outcome(queries: Queries, plan: Plan, found: Outcome) -> list[Any]:
    """Everything that one intervention did."""
    token = found.passage.token_at(found.at)
    top = feature_maxima(queries).get(plan.feature) or max(found.acts.values(), default=0.0)
    after = [html.Span("Next token after "), chip(token.token), html.Span(f" {token.place}", className="dim")]
    return [
        html.P(_sentence(plan, found), id="effect-sentence"),
        html.Div([_text(found, top), scale(top)], className="effect-text-shown"),
        html.Div(
            [
                html.Div([html.H3(after, className="sub"), _candidates(found)]),
                html.Div([html.H3("Other features", className="sub"), *_changes(queries, found)]),
            ],
            className="ways",
        ),
        html.H3(_writing_words(plan), className="sub"),
        html.Div(
            [
                _written("As it is", found.plain, found.changed),
                _written("Changed", found.changed, found.plain),
            ],
            className="ways",
            id="effect-written",
        ),
    ]


def _sentence(plan: Plan, found: Outcome) -> str:
    who = f"Feature {plan.feature}"
    if len(plan.features) > 1:
        who += f" and {formats.plural(len(plan.features) - 1, 'other')}"
    number = formats.decimal(plan.value, 4)
    did = {"zero": "set to 0", "set": f"set to {number}", "add": f"with {number} added"}[plan.mode]
    where = "on every token" if plan.every else "on the chosen token"
    own = "" if found.acts else f" Feature {plan.feature} itself is silent on this text."
    loss = ""
    if found.loss_before is not None and found.loss_after is not None:
        before, after = (formats.decimal(value, 4) for value in (found.loss_before, found.loss_after))
        loss = f" Cross-entropy of the text {before} → {after} nats a token."
    kl, mean_kl = formats.decimal(found.kl), formats.decimal(found.mean_kl)
    kls = f"KL {kl} nats at the next token, {mean_kl} on average over the tokens."
    return f"{who} {did} {where}: {kls}{loss}{own}"


def _text(found: Outcome, top: float) -> Element:
    """The whole text; a click on a token asks what comes after it."""
    pieces: list[Element] = []
    row = 0
    for number, window in enumerate(found.passage.windows):
        if number:
            pieces.append(element("Br"))
        pieces += _special(window)
        for position in range(window.n_special, len(window.str_tokens)):
            act = found.acts.get(row, 0.0)
            pieces.append(
                _token(
                    window.str_tokens[position], row, position, act=act, top=top, is_chosen=row == found.at
                )
            )
            row += 1
    return element("Div", pieces, className="text effect-text", id="effect-text-shown", dir="ltr")


def _special(window: ReadWindow) -> list[Element]:
    return [
        element("Bdi", running(token), className="special") for token in window.str_tokens[: window.n_special]
    ]


def _token(token: str, row: int, position: int, *, act: float, top: float, is_chosen: bool) -> Element:
    looks = ["token", *(["lit"] if act > 0 else []), *(["here"] if is_chosen else [])]
    title = f"{spelled_out(token)} · position {position} · activation {act:.4g}"
    strength = {"--strength": f"{min(1.0, act / top) if top > 0 else 0:.3f}"}
    return element(
        "Bdi",
        running(token),
        className=" ".join(looks),
        title=title,
        style=strength,
        role="button",
        tabIndex=0 if is_chosen else -1,
        **data_of("at", row),
    )


def _candidates(found: Outcome) -> html.Div:
    rows = []
    for candidate, after in zip(found.candidates, found.after, strict=True):
        change = change_in_nats(candidate.probability, after)
        before = formats.share(candidate.probability)
        rows.append([chip(candidate.token), before, formats.share(after), formats.signed(change)])
    listed = table(["Token", "Before", "After", "Change, nats"], rows, "Next token before and after")
    return html.Div(listed, className="table-scroll tall", tabIndex=0, id="effect-next")


def _changes(queries: Queries, found: Outcome) -> list[Any]:
    if not found.changes:
        return [empty("No other feature changes")]
    names = named(queries, tuple(change.feature for change in found.changes))
    window = found.passage.windows[found.window]
    rows = [
        [
            feature_link(queries, change.feature, names),
            chip(window.str_tokens[change.position], f"position {change.position}"),
            formats.decimal(change.before),
            formats.decimal(change.after),
            formats.signed(change.after - change.before),
        ]
        for change in found.changes
    ]
    listed = table(["Feature", "Token", "Before", "After", "Change"], rows, "Other features that change", 2)
    n = formats.plural(found.n_changed, "feature")
    more = f"; the {len(rows)} that change most are shown" if found.n_changed > len(rows) else ""
    note = f"{n} change at the SAE's site{more}; each at the token where it changes most."
    return [
        html.Div(listed, className="table-scroll tall", tabIndex=0, id="effect-changes"),
        html.P(note, className="caption"),
    ]


def _writing_words(plan: Plan) -> str:
    writing = plan.writing
    how = "the likeliest token each time"
    if writing.temperature:
        how = f"drawn at temperature {writing.temperature:g}, both with seed {writing.seed}"
    return f"Written on from the chosen token: {formats.plural(writing.n_tokens, 'token')} at most, {how}"


def _written(title: str, found: Written, other: Written) -> html.Div:
    """A continuation; from where the two part, it is marked."""
    parts = _first_difference(found.token_ids, other.token_ids)
    pieces = [
        element(
            "Bdi",
            running(token),
            className="differs" if i >= parts else "",
            title=f"{spelled_out(token)} · {formats.share(probability)} likely",
        )
        for i, (token, probability) in enumerate(zip(found.str_tokens, found.probabilities, strict=True))
    ]
    if found.ended:
        pieces.append(element("Span", "end of text", className="end"))
    shown = pieces or [element("Span", "nothing", className="dim")]
    same = found.token_ids == other.token_ids and found.ended == other.ended
    note = " (the same)" if same and title != "As it is" else ""
    head = html.Div(title + note, className="dim")
    return html.Div([head, element("Div", shown, className="text", dir="ltr")], className="effect-written")


def _first_difference(own: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(own, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(own), len(other)))

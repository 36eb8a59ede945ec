"""Tokens on a page: chips, running text with activations as colour, links to features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard import formats
from dashboard.address import feature_path
from dashboard.components.browser import spoken
from dashboard.queries import Queries
from dashboard.token_view import Excerpt, Piece, label, spelled_out


def chip(token: str, detail: str = "", tone: str = "plain") -> html.Span:
    """One token by itself."""
    title = spelled_out(token) + (f" · {detail}" if detail else "")
    return html.Span(label(token), className=f"token-chip {tone}", title=title)


def phrase(tokens: Iterable[str]) -> html.Span:
    """Several tokens in a row, each with its border."""
    return html.Span([chip(token) for token in tokens], className="phrase")


def feature_chip(queries: Queries, feature: int, detail: str, title: str) -> dcc.Link:
    """A link to a feature, with one number beside it."""
    inner = [html.Span(f"{feature}", className="chip-feature"), html.Span(detail, className="chip-detail")]
    return dcc.Link(inner, href=queries.href(feature_path(feature)), className="feature-chip", title=title)


def highlighted(shown: Excerpt) -> html.Div:
    """An excerpt with one colour, the deeper the stronger the feature fires."""
    parts: list[Any] = []
    if shown.cut_before:
        parts.append(_cut(shown.cut_before, "before"))
    parts.extend(_piece(piece) for piece in shown.pieces)
    if shown.cut_after:
        parts.append(_cut(shown.cut_after, "after"))
    return html.Div(parts, className="text", dir="ltr")


def _cut(n: int, side: str) -> html.Span:
    return html.Span("…", className="cut", title=f"{formats.plural(n, 'token')} more {side}")


def _piece(piece: Piece) -> html.Bdi:
    if not piece.is_row:
        return html.Bdi(piece.text, className="special", title="special token: no activation is kept for it")
    if piece.activation <= 0 and not piece.is_focus:
        return html.Bdi(piece.text)
    title = f"{spelled_out(piece.token)} · position {piece.position} · activation {piece.activation:.4g}"
    return html.Bdi(
        piece.text,
        className="lit focus" if piece.is_focus else "lit",
        title=title,
        style={"--strength": f"{piece.strength:.3f}"},
    )


def scale(top: float) -> html.Div:
    """What the colours mean."""
    return html.Div(
        [html.Span("0"), html.Span(className="scale-bar"), html.Span(f"{formats.decimal(top)} (maximum)")],
        className="scale",
        title="Activation, on one scale for all examples of this feature",
    )


def token_table(
    tokens: Sequence[str], values: Sequence[Sequence[str]], headings: Sequence[str], name: str
) -> html.Div:
    """Tokens with columns of numbers; `values` are columns, each as long as `tokens`.

    One component for the whole table: a component for each cell would take most of a page's time.
    """
    body = [list(cells) for cells in zip([label(token) for token in tokens], *values, strict=True)]
    table = dmc.Table(
        data={"head": list(headings), "body": body}, className="plain-table token-table", **spoken(name)
    )
    return html.Div(table, className="table-scroll", tabIndex=0)

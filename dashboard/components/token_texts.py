"""Texts in which one token is marked."""

from __future__ import annotations

import numpy as np

from dashboard import formats
from dashboard.address import with_parameters
from dashboard.components.elements import Element, element, link
from dashboard.queries import Queries
from dashboard.questions.tokens import Occurrence
from dashboard.token_view import Excerpt, Piece, excerpt, visible

METADATA_SHOWN = 4
LONGEST_CAPTION = 180


def marked_text(queries: Queries, found: Occurrence) -> Element:
    """An excerpt around the token's first place in a text, with each of its places marked."""
    # Marks are drawn from an activation of 1 at the token's places: the excerpt then keeps them apart.
    acts = np.zeros(len(found.str_tokens), dtype=np.float32)
    acts[list(found.here)] = 1
    shown = excerpt(found.str_tokens, acts, 1.0, found.position)
    return element("Article", [_caption(queries, found), _text(shown)], className="example")


def _caption(queries: Queries, found: Occurrence) -> Element:
    values = [visible(str(value), keep_spaces=True) for value in found.metadata.values()]
    words = " · ".join(values[:METADATA_SHOWN])
    place = f"example {found.example:,}, token {found.position} of {len(found.str_tokens)}"
    chunk = f"chunk {found.chunk}"
    href = queries.href(with_parameters("/prompt", {"example": str(found.example)}))
    times = formats.plural(found.n_here, "row") + " of this text"
    return element(
        "Div",
        [
            element("Span", times, className="dim", title="Rows of this text at which the token stands"),
            element("Span", words[:LONGEST_CAPTION], className="metadata", title=" · ".join(values)[:1000]),
            link(place, href, className="place", title=f"Open as a prompt: text {found.text_id}, {chunk}"),
        ],
        className="example-head",
    )


def _text(shown: Excerpt) -> Element:
    parts: list[Element] = []
    if shown.cut_before:
        parts.append(_cut(shown.cut_before, "before"))
    parts.extend(_piece(piece) for piece in shown.pieces)
    if shown.cut_after:
        parts.append(_cut(shown.cut_after, "after"))
    return element("Div", parts, className="text", dir="ltr")


def _cut(n: int, side: str) -> Element:
    return element("Span", "…", className="cut", title=f"{formats.plural(n, 'token')} more {side}")


def _piece(piece: Piece) -> Element:
    if not piece.activation:
        return element("Bdi", piece.text)
    return element("Mark", element("Bdi", piece.text), className="here", title=f"position {piece.position}")

"""Tokens on a page: chips, running text with activations as colour, links to features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dash import html

from dashboard import formats
from dashboard.address import feature_path, token_path
from dashboard.components.browser import spoken
from dashboard.components.elements import Element, element, link, table
from dashboard.queries import Queries
from dashboard.token_view import Excerpt, Piece, label, spelled_out

NO_TOKENS = "No token of this example is known."


def chip(token: str, detail: str = "", tone: str = "plain") -> Element:
    """One token by itself."""
    title = spelled_out(token) + (f" · {detail}" if detail else "")
    return element("Span", label(token), className=f"token-chip {tone}", title=title)


def phrase(tokens: Iterable[str]) -> Element:
    """Several tokens in a row, each with its border."""
    return element("Span", [chip(token) for token in tokens], className="phrase")


def phrase_of_labels(labels: Iterable[str]) -> Element:
    """Tokens side by side, already spelled as they are shown."""
    chips = [element("Span", one, className="token-chip plain") for one in labels]
    return element("Span", chips, className="cell-tokens")


def feature_chip(queries: Queries, feature: int, detail: str, title: str) -> Element:
    """A link to a feature, with one number beside it."""
    inner = [element("Span", f"{feature}", className="chip-feature")]
    inner += [element("Span", detail, className="chip-detail")] if detail else []
    return link(inner, queries.href(feature_path(feature)), className="feature-chip", title=title)


def highlighted(shown: Excerpt) -> Element:
    """An excerpt with one colour, the deeper the stronger the feature fires; a second feature has another."""
    if not (shown.pieces or shown.before or shown.after):
        return element("Div", NO_TOKENS, className="text dim")
    return element(
        "Div",
        [
            *_cut(shown.cut_before, "before", shown.before),
            *(_piece(piece) for piece in shown.pieces),
            *_cut(shown.cut_after, "after", shown.after),
        ],
        className="text",
        dir="ltr",
    )


def _cut(n: int, side: str, rest: Sequence[Piece]) -> list[Element]:
    """A sign for what is left out; where it is there to be shown, the sign shows it."""
    more = f"{formats.plural(n, 'token')} more {side}"
    if not n:
        return []
    if not rest:
        return [element("Span", "…", className="cut", title=more)]
    hidden = element("Span", [_piece(piece) for piece in rest], className="rest")
    sign = element("Button", "…", className="cut", title=f"Show {more}", **spoken(f"Show {more}"))
    return [sign, hidden] if side == "before" else [hidden, sign]


def _piece(piece: Piece) -> Element:
    if not piece.is_row:
        title = "special token: no activation is kept for it"
        return element("Bdi", piece.text, className="special", title=title)
    if piece.activation <= 0 and piece.second <= 0 and not piece.is_focus:
        return element("Bdi", piece.text, **({"className": "bold"} if piece.is_bold else {}))
    place = "the whole example has" if piece.in_set else f"position {piece.position} ·"
    title = f"{spelled_out(piece.token)} · {place} activation {piece.activation:.4g}"
    title += f" · second feature {piece.second:.4g}" if piece.second else ""
    style = {"--strength": f"{piece.strength:.3f}"}
    style |= {"--second": f"{piece.second_strength:.3f}"} if piece.second else {}
    follower = {} if piece.follower is None else {"data-next": f"{piece.follower}"}
    return element(
        "Bdi",
        piece.text,
        className=" ".join(_looks(piece)),
        title=title,
        style=style,
        tabIndex=0 if piece.is_focus else -1,
        **{"data-act": f"{piece.activation:.6g}", **follower},
    )


def _looks(piece: Piece) -> list[str]:
    known = {
        "lit": piece.activation > 0 or piece.is_focus,
        "focus": piece.is_focus,
        "second": piece.second > 0,
        "bold": piece.is_bold,
    }
    return [look for look, holds in known.items() if holds]


def scale(top: float, second: bool = False, name: str = "maximum") -> html.Div:
    """What the colours mean."""
    bar = html.Span(className="scale-bar second" if second else "scale-bar")
    return html.Div(
        [html.Span("0"), bar, html.Span(f"{formats.decimal(top)} ({name})")],
        className="scale",
        title="Activation, on one scale for all examples of this feature",
    )


def token_link(queries: Queries, token_id: int, token: str) -> Element:
    """A token that leads to its page."""
    return link(
        label(token), queries.href(token_path(token_id)), className="token-link", title=spelled_out(token)
    )


def token_table(
    queries: Queries,
    tokens: Mapping[int, str],
    values: Sequence[Sequence[str]],
    headings: Sequence[str],
    name: str,
) -> html.Div:
    """Tokens by number, each a link, beside columns of numbers; `values` are columns as long as `tokens`."""
    links = [token_link(queries, token_id, token) for token_id, token in tokens.items()]
    rows = [list(cells) for cells in zip(links, *values, strict=True)]
    return html.Div(
        table(list(headings), rows, name, kind="token-table"), className="table-scroll", tabIndex=0
    )

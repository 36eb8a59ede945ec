"""Tokens as a person must see them: exactly, with what is invisible made visible."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MARKS = {" ": "␣", "\n": "↵", "\t": "⇥"}
"""Signs for the white space that texts are full of; everything else invisible is named by its code point."""
EMPTY = "⟨empty⟩"
"""A token that decodes to no text at all."""
LONGEST = 120
"""Characters of one token that are shown; how many more there are is said."""
BLANK_LETTERS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as letters or symbols and show nothing."""
INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
"""Unicode categories that show nothing, or change the direction of what follows."""
BEFORE, AFTER = 32, 20
"""Tokens shown on each side of the one that an excerpt is about."""


def visible(token: str, keep_spaces: bool = False) -> str:
    """A token as unambiguous text: two tokens that differ look different.

    Spaces, newlines and tabs become signs (spaces stay if `keep_spaces`, for running text); control,
    zero-width, bidirectional and unassigned characters become ⟨U+200B⟩, and so does a character of the
    text that is one of our own signs.
    """
    if not token:
        return EMPTY
    shown = "".join(_spelled(token[:LONGEST], keep_spaces))
    hidden = len(token) - LONGEST
    return shown if hidden <= 0 else f"{shown}⟨{hidden:,} more characters⟩"


def _spelled(token: str, keep_spaces: bool) -> Iterator[str]:
    after_base = False
    for character in token:
        kind = unicodedata.category(character)
        if character == " " and keep_spaces:
            yield character
        elif character in MARKS:
            yield MARKS[character]
        elif _must_be_named(character, kind) or (kind in ("Mn", "Mc", "Me") and not after_base):
            yield f"⟨U+{ord(character):04X}⟩"
        else:
            yield character
            after_base = True
            continue
        after_base = False


def _must_be_named(character: str, kind: str) -> bool:
    own_sign = character in "␣↵⇥⟨⟩"
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return kind in INVISIBLE or own_sign or selector or character in BLANK_LETTERS


@lru_cache(maxsize=65_536)
def label(token: str) -> str:
    """A token for tables, chips and axes."""
    return visible(token)


def spelled_out(token: str) -> str:
    """The token as a Python literal, for tooltips; shortened like `visible`."""
    tail = "" if len(token) <= LONGEST else f" and {len(token) - LONGEST:,} more characters"
    return ascii(token[:LONGEST]) + tail


def plotly_text(text: str) -> str:
    """Text that Plotly shows as it is: without this it drops `<s>` and decodes `&lt;`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True)
class Piece:
    """A stretch of an example's text: one active token, or a run of silent ones."""

    text: str
    """As it is shown."""
    position: int
    """Of its first token in the example."""
    n_tokens: int
    activation: float
    """Of the one token; 0 for a run of silent ones."""
    strength: float
    """The activation as a share of the scale's top; 0 to 1."""
    is_row: bool
    """False for special tokens, which have no activation at all."""
    is_focus: bool
    """Whether it is the token that the example was chosen for."""
    token: str
    """The raw token, for the tooltip; empty for a run of several."""


@dataclass(frozen=True)
class Excerpt:
    """Part of an example, as pieces in the order of the text."""

    pieces: tuple[Piece, ...]
    cut_before: int
    """Tokens of the example left out before the first piece."""
    cut_after: int
    """Tokens left out after the last one."""


def excerpt(
    str_tokens: Sequence[str],
    acts: NDArray[np.float32],
    scale_top: float,
    focus: int | None,
    whole: bool = False,
) -> Excerpt:
    """Highlighted text around the token in focus, or all of it.

    `acts` is float32 [n_tokens], NaN where the position is no row; `scale_top` is the activation that gets
    the full colour. Runs of silent tokens become one piece, which keeps pages light.
    """
    n = len(str_tokens)
    first, stop = (0, n) if whole else _window(focus, n)
    edges = _edges(acts, first, stop, focus)
    pieces = tuple(
        _piece(str_tokens[a:b], a, float(acts[a]), scale_top, a == focus) for a, b in pairwise(edges)
    )
    return Excerpt(pieces, cut_before=first, cut_after=n - stop)


def _window(focus: int | None, n: int) -> tuple[int, int]:
    centre = 0 if focus is None else focus
    first = max(0, centre - BEFORE)
    stop = min(n, centre + AFTER + 1)
    # Near an edge the other side gets the room, so that every excerpt is about as long.
    return max(0, min(first, stop - BEFORE - AFTER - 1)), min(n, max(stop, first + BEFORE + AFTER + 1))


def _edges(acts: NDArray[np.float32], first: int, stop: int, focus: int | None) -> list[int]:
    """Where pieces begin: at each token that stands alone, and after it; and where special tokens end."""
    edges = {first, stop}
    for position in range(first, stop):
        alone = acts[position] > 0 or position == focus
        border = position > first and np.isnan(acts[position]) != np.isnan(acts[position - 1])
        if alone:
            edges |= {position, position + 1}
        elif border:
            edges.add(position)
    return sorted(edges)


def _piece(tokens: Sequence[str], position: int, act: float, top: float, is_focus: bool) -> Piece:
    """Tokens that are drawn as one; `act` is that of the first, NaN where it is no row."""
    activation = 0.0 if math.isnan(act) else act
    return Piece(
        text="".join(visible(token, keep_spaces=True) for token in tokens),
        position=position,
        n_tokens=len(tokens),
        activation=activation,
        strength=min(1.0, max(0.0, activation / top)) if top > 0 else 0.0,
        is_row=not math.isnan(act),
        is_focus=is_focus,
        token=tokens[0] if len(tokens) == 1 else "",
    )

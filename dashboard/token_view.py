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


def visible(token: str, keep_spaces: bool = False, longest: int = LONGEST) -> str:
    """A token as unambiguous text: two tokens that differ look different.

    Spaces, newlines and tabs become signs (spaces stay if `keep_spaces`, for running text); control,
    zero-width, bidirectional and unassigned characters become ⟨U+200B⟩, and so does a character of the
    text that is one of our own signs.
    """
    if not token:
        return EMPTY
    shown = "".join(_spelled(token[:longest], keep_spaces))
    hidden = len(token) - longest
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


@lru_cache(maxsize=65_536)
def running(token: str) -> str:
    """A token within running text."""
    return visible(token, keep_spaces=True)


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
    second: float = 0.0
    """Activation of the feature that is laid over; 0 for a run of several."""
    second_strength: float = 0.0
    """The same as a share of that feature's own maximum; 0 to 1."""
    is_bold: bool = False
    follower: int | None = None
    """The token that stands next, by its number; None at the end, and where nobody asked."""
    in_set: bool = False
    """Whether it is of a set, whose tokens stand at no position."""


@dataclass(frozen=True)
class Excerpt:
    """Part of an example, as pieces in the order of the text."""

    pieces: tuple[Piece, ...]
    cut_before: int
    """Tokens of the example left out before the first piece."""
    cut_after: int
    """Tokens left out after the last one."""
    before: tuple[Piece, ...] = ()
    """What is left out before, where it is kept to be shown on demand."""
    after: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Layers:
    """What else is known of an example's tokens."""

    second: NDArray[np.float32] | None = None
    """[n_tokens]: activations of a feature that is laid over, NaN where the position is no row."""
    second_top: float = 0.0
    """Its activation that gets the full colour."""
    bold: NDArray[np.bool_] | None = None
    """[n_tokens]: tokens to be shown in bold."""
    token_ids: Sequence[int] = ()
    """[n_tokens], where pieces are to know what stands next."""
    keeps_rest: bool = False
    """Whether what lies outside the window is kept."""
    is_set: bool = False
    """Whether the tokens are a set: then there are spaces between them, and nothing stands next."""

    def second_at(self, position: int) -> float:
        """Activation of the feature laid over; 0 where it is silent or not there."""
        act = 0.0 if self.second is None else float(self.second[position])
        return act if act > 0 else 0.0

    def is_bold(self, position: int) -> bool:
        """Whether a token is to be shown in bold."""
        return self.bold is not None and bool(self.bold[position])

    def follower(self, position: int) -> int | None:
        """The token after it, by its number."""
        has_next = not self.is_set and position + 1 < len(self.token_ids)
        return int(self.token_ids[position + 1]) if has_next else None


PLAIN = Layers()


def excerpt(
    str_tokens: Sequence[str],
    acts: NDArray[np.float32],
    scale_top: float,
    focus: int | None,
    whole: bool = False,
    *,
    layers: Layers = PLAIN,
) -> Excerpt:
    """Highlighted text around the token in focus, or all of it.

    `acts` is float32 [n_tokens], NaN where the position is no row; `scale_top` is the activation that gets
    the full colour. Runs of silent tokens become one piece, which keeps pages light.
    """
    n = len(str_tokens)
    first, stop = (0, n) if whole else _window(focus, n)

    def pieces(start: int, end: int) -> tuple[Piece, ...]:
        edges = _edges(acts, start, end, focus, layers)
        return tuple(
            _piece(str_tokens[a:b], a, float(acts[a]), scale_top, is_focus=a == focus, layers=layers)
            for a, b in pairwise(edges)
        )

    rest = (pieces(0, first), pieces(stop, n)) if layers.keeps_rest else ((), ())
    return Excerpt(pieces(first, stop), first, n - stop, *rest)


def _window(focus: int | None, n: int) -> tuple[int, int]:
    centre = 0 if focus is None else focus
    first = max(0, centre - BEFORE)
    stop = min(n, centre + AFTER + 1)
    # Near an edge the other side gets the room, so that every excerpt is about as long.
    return max(0, min(first, stop - BEFORE - AFTER - 1)), min(n, max(stop, first + BEFORE + AFTER + 1))


def _edges(acts: NDArray[np.float32], first: int, stop: int, focus: int | None, layers: Layers) -> list[int]:
    """Where pieces begin: at each token that stands alone, and after it; and where special tokens end."""
    own = acts[first:stop]
    silent, alone = np.isnan(own), own > 0
    if layers.second is not None:
        alone = alone | (layers.second[first:stop] > 0)
    if focus is not None and first <= focus < stop:
        alone[focus - first] = True
    border = silent[1:] != silent[:-1]
    if layers.bold is not None:
        border = border | np.diff(layers.bold[first:stop])
    singles = np.flatnonzero(alone) + first
    borders = np.flatnonzero(border) + first + 1
    return sorted({first, stop, *singles.tolist(), *(singles + 1).tolist(), *borders.tolist()})


def _piece(
    tokens: Sequence[str], position: int, act: float, top: float, *, is_focus: bool, layers: Layers
) -> Piece:
    """Tokens that are drawn as one; `act` is that of the first, NaN where it is no row."""
    activation, second = 0.0 if math.isnan(act) else act, layers.second_at(position)
    return Piece(
        text="".join(running(token) + (" " if layers.is_set else "") for token in tokens),
        position=position,
        n_tokens=len(tokens),
        activation=activation,
        strength=_strength(activation, top),
        is_row=not math.isnan(act),
        is_focus=is_focus,
        token=tokens[0] if len(tokens) == 1 else "",
        second=second,
        second_strength=_strength(second, layers.second_top),
        is_bold=layers.is_bold(position),
        follower=layers.follower(position),
        in_set=layers.is_set,
    )


def _strength(activation: float, top: float) -> float:
    return min(1.0, max(0.0, activation / top)) if top > 0 else 0.0

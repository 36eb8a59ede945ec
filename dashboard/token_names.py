"""What a person types to name a token: its text as it is or as it is shown, with escapes, or its id."""

from __future__ import annotations

import re

import polars as pl

from dashboard.address import AddressError, shortened
from dashboard.token_view import EMPTY, MARKS

LONGEST = 200
"""Characters of a search."""
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "s": " "}
"""Letters after a backslash, and what they stand for."""
SPELLED = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([ntr0s\\]))"
    r"|⟨U\+([0-9A-Fa-f]{4,6})⟩|([" + "".join(MARKS.values()) + "])"
)
ID = re.compile(r"#?([0-9]{1,9})")
LAST_CODE_POINT = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
"""Code points that stand for no character by themselves, and that UTF-8 cannot write."""

EXACT, BY_ID, SAME_LETTERS, BEGINNING, INSIDE = range(5)
"""How well a token fits a search, best first."""


def searched(value: object) -> str:
    """A search as it came from the address or a field; raises AddressError for what is no short text."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise AddressError(f"a search for {shortened(value)}", f"at most {LONGEST} characters", "shorten it")
    return "".join(character for character in value if ord(character) not in SURROGATES)


def unescaped(text: str) -> str:
    r"""Text with its escapes undone: `\n`, `\x1b`, `\u200b`, ␣, ↵, ⇥, ⟨U+200B⟩; others stay as they are."""
    if text == EMPTY:
        return ""
    signs = {sign: character for character, sign in MARKS.items()}

    def meant(found: re.Match[str]) -> str:
        *codes, letter, point, sign = found.groups()
        code = next((c for c in (*codes, point) if c), None)
        if code is not None:
            value = int(code, 16)
            return chr(value) if value <= LAST_CODE_POINT and value not in SURROGATES else found[0]
        return ESCAPES[letter] if letter else signs[sign]

    return SPELLED.sub(meant, text)


def readings(text: str) -> tuple[str, ...]:
    """The texts that may be meant: as typed (a token may hold a backslash), and with escapes undone."""
    return tuple(dict.fromkeys((text, unescaped(text))))


def token_id(text: str) -> int | None:
    """The id that is meant by `#123` or `123`; None for other text."""
    found = ID.fullmatch(text.strip())
    return int(found[1]) if found else None


def fit(text: str) -> pl.Expr:
    """How well each token fits, over columns token, token_id and letters; null for one that does not.

    `letters` is the token without surrounding space, in lower case.
    """
    meant = readings(text)
    bare = [reading.strip().lower() for reading in meant]
    bare = [reading for reading in bare if reading]
    letters, number = pl.col("letters"), token_id(text)
    none = pl.lit(False)
    return (
        pl.when(pl.col("token").is_in(list(meant)))
        .then(EXACT)
        .when(none if number is None else pl.col("token_id") == number)
        .then(BY_ID)
        .when(letters.is_in(bare) if bare else none)
        .then(SAME_LETTERS)
        .when(pl.any_horizontal(none, *(letters.str.starts_with(reading) for reading in bare)))
        .then(BEGINNING)
        .when(pl.any_horizontal(none, *(_holds(reading) for reading in meant if reading)))
        .then(INSIDE)
    )


def _holds(reading: str) -> pl.Expr:
    return pl.col("token").str.to_lowercase().str.contains(reading.lower(), literal=True)

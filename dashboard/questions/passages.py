"""What a person asks the model about: a text, or an example of the corpus; and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.address import AddressError, feature_number, shortened
from dashboard.queries import Queries
from dashboard.tables import optional
from dashboard.token_view import label

LONGEST_TEXT = 10_000
"""Characters of a text that is read."""
MOST_FEATURES = 20
"""Features that are changed together, or pinned."""


@dataclass(frozen=True)
class Passage:
    """A text as it was written, or an example by its number; exactly one of them."""

    text: str | None = None
    example: int | None = None

    def asked(self, queries: Queries) -> dict[str, Any]:
        """As the model's process is asked. An example goes by its token ids: its text might not give them
        back."""
        if self.example is None:
            return {"text": self.text}
        windows = queries.tables.table("windows", "corpus")
        row = windows.row(self.example, named=True)
        return {"token_ids": row["token_ids"], "n_special": row["n_special"]}


@dataclass(frozen=True)
class ReadWindow:
    """One window of a passage, as tokens."""

    token_ids: tuple[int, ...]
    str_tokens: tuple[str, ...]
    n_special: int


@dataclass(frozen=True)
class ReadToken:
    """One token of a passage."""

    token: str
    place: str
    """Where it stands, in words."""


@dataclass(frozen=True)
class ReadPassage:
    """A passage's tokens, and the features that fire on its rows."""

    windows: tuple[ReadWindow, ...]
    window: NDArray[np.int64]
    """[n_rows]"""
    position: NDArray[np.int64]
    """[n_rows], in the window."""
    indptr: NDArray[np.int64]
    """[n_rows + 1]: where each row's entries lie in the next two."""
    features: NDArray[np.int64]
    acts: NDArray[np.float64]

    @property
    def n_rows(self) -> int:
        """Tokens that are not special."""
        return len(self.position)

    def place(self, token: int) -> tuple[int, int]:
        """Window and position of a token, counted over the rows; raises AddressError for one that is not."""
        if not 0 <= token < self.n_rows:
            raise AddressError(f"token {token}", f"a number from 0 to {self.n_rows - 1:,}", "choose a token")
        return int(self.window[token]), int(self.position[token])

    def token_at(self, token: int) -> ReadToken:
        """A token, counted over the rows, and where it stands in words."""
        window, position = self.place(token)
        part = f"part {window + 1}, " if len(self.windows) > 1 else ""
        return ReadToken(self.windows[window].str_tokens[position], f"{part}position {position}")


def passage_of(queries: Queries, text: object, example: object) -> Passage:
    """A passage from an address or a callback; raises AddressError for what is none."""
    if example is not None:
        n_examples = queries.tables.table("windows", "corpus").height
        try:
            return Passage(example=feature_number(example, n_examples))
        except AddressError as error:
            found = error.found.replace("feature", "example")
            raise AddressError(found, error.expected, "correct the number in the address") from None
    return Passage(text=checked_text(text))


def checked_text(text: object) -> str:
    """A text that is not too long, as it is."""
    if not isinstance(text, str):
        raise AddressError(f"a text of type {type(text).__name__}", "text", "write one on the page")
    if len(text) > LONGEST_TEXT:
        raise too_long(len(text))
    # A lone surrogate is no character: JSON may hold one, a tokenizer may not.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise AddressError("a text with half a character", "whole Unicode characters", "write it again")
    return text


def too_long(n_characters: object) -> AddressError:
    """What is said of a text that is too long to be sent, or to be read."""
    shown = f"{n_characters:,}" if isinstance(n_characters, int) else shortened(n_characters)
    return AddressError(
        f"a text of {shown} characters", f"at most {LONGEST_TEXT:,}", "take a shorter part of it"
    )


def read(queries: Queries, passage: Passage) -> ReadPassage:
    """Have the model read a passage."""
    answer = queries.inference.ask("encode", passage=passage.asked(queries))
    windows = tuple(
        ReadWindow(tuple(w["token_ids"]), tuple(w["str_tokens"]), w["n_special"]) for w in answer["windows"]
    )
    return ReadPassage(
        windows,
        window=np.asarray(answer["window"], dtype=np.int64),
        position=np.asarray(answer["position"], dtype=np.int64),
        indptr=np.asarray(answer["indptr"], dtype=np.int64),
        features=np.asarray(answer["features"], dtype=np.int64),
        acts=np.asarray(answer["acts"], dtype=np.float64),
    )


@dataclass(frozen=True)
class Candidate:
    """A next token, and how likely it is."""

    token_id: int
    token: str
    probability: float


@dataclass(frozen=True)
class Inspected:
    """One token of a passage: what may come next, and which feature adds what to it."""

    likely: tuple[Candidate, ...]
    """Likeliest first."""
    chosen: Candidate
    """The next token that contributions are to."""
    logit: float
    features: NDArray[np.int64]
    acts: NDArray[np.float64]
    contributions: NDArray[np.float64] | None
    """Logits; None where a direction has no direct effect."""
    reason: str
    """Why there is none."""
    unit: float
    """What the row makes of one unit of a direction."""


def inspect(queries: Queries, passage: Passage, place: tuple[int, int], next_token: int | None) -> Inspected:
    """Look at one token of a passage."""
    window, position = place
    answer = queries.inference.ask(
        "inspect", passage=passage.asked(queries), window=window, position=position, next=next_token
    )
    added = answer["contributions"]
    return Inspected(
        likely=tuple(Candidate(*token) for token in answer["next"]),
        chosen=Candidate(*answer["chosen"]),
        logit=answer["logit"],
        features=np.asarray(answer["features"], dtype=np.int64),
        acts=np.asarray(answer["acts"], dtype=np.float64),
        contributions=None if added is None else np.asarray(added, dtype=np.float64),
        reason=answer["reason"],
        unit=answer["unit"],
    )


def feature_list(queries: Queries, value: object, name: str) -> tuple[int, ...]:
    """Some features' numbers between commas or spaces, in the order given, each once."""
    if value is None or value == "":
        return ()
    if not isinstance(value, str) or len(value) > 400:
        raise AddressError(f"{name} {shortened(value)}", "numbers between commas", "correct them")
    numbers = [queries.known_feature(part) for part in value.replace(",", " ").split()]
    if len(numbers) > MOST_FEATURES:
        raise AddressError(f"{len(numbers)} {name}", f"at most {MOST_FEATURES}", "leave some out")
    return tuple(dict.fromkeys(numbers))


@dataclass(frozen=True)
class FeatureUse:
    """How a feature fires over a whole passage."""

    feature: int
    maximum: float
    mean: float
    """Over all rows, zeros included."""
    count: int
    """Rows on which it fires."""


def uses(found: ReadPassage) -> list[FeatureUse]:
    """The features that fire on a passage, strongest first."""
    features, places = np.unique(found.features, return_inverse=True)
    maxima = np.zeros(len(features))
    np.maximum.at(maxima, places, found.acts)
    means = np.bincount(places, weights=found.acts, minlength=len(features)) / max(found.n_rows, 1)
    counts = np.bincount(places, minlength=len(features))
    order = np.lexsort((features, -maxima))
    columns = (features, maxima, means, counts)
    return [FeatureUse(*row) for row in zip(*(column[order].tolist() for column in columns), strict=True)]


MOST_TOKENS = 40
"""Tokens that a search for one shows."""


def matching_tokens(queries: Queries, typed: str) -> list[tuple[int, str]]:
    """Tokens of the vocabulary that hold what is typed, as they are or as they are shown; shortest first."""
    wanted = typed.strip("\n")[:100]
    tokens = queries.vocabulary()
    found = [
        (number, token)
        for number, token in enumerate(tokens)
        if wanted in token or wanted in label(token) or (wanted.isdecimal() and int(wanted) == number)
    ]
    return sorted(found, key=lambda pair: (len(pair[1]), pair[0]))[:MOST_TOKENS]


def feature_maxima(queries: Queries) -> Mapping[int, float]:
    """The greatest activation of each feature over the corpus; empty where that is not computed."""

    def maxima() -> dict[int, float]:
        table = queries.tables.table("feature_stats", "feature_stats").select("feature", "max")
        return dict(table.iter_rows())

    return optional(lambda: queries.tables.derived("feature maxima", "feature_stats", maxima)) or {}


def named(queries: Queries, features: NDArray[Any] | tuple[int, ...]) -> dict[int, str]:
    """Labels of some features, where people have given them any."""
    found = {int(feature): queries.labels.short(int(feature)) for feature in features}
    return {feature: name for feature, name in found.items() if name}

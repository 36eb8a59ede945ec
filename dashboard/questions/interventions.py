"""What a person does to features on a text, and what the model then does otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dashboard.address import AddressError, feature_number, one_of, shortened
from dashboard.queries import Queries
from dashboard.questions.passages import (
    Candidate,
    Passage,
    ReadPassage,
    feature_list,
    passage_of,
    read,
    too_long,
)

Mode = Literal["zero", "set", "add"]
MODES = ("zero", "set", "add")
PLACES = ("every", "one")
"""On every token of the text, or on the chosen one alone."""
LARGEST = 1e6
MOST_TOKENS = 100
"""Tokens that are written on."""
MOST_TOGETHER = 1000
"""Features of a set that are changed together."""
NUMBER = re.compile(r"[+-]?[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Writing:
    """How the model writes on."""

    n_tokens: int = 30
    temperature: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.n_tokens}:{self.temperature:g}:{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What is to be done; checked, but for the text's tokens, which the model alone knows."""

    feature: int
    passage: Passage
    mode: Mode
    value: float
    """In units of activation; 0 for `zero`."""
    features: tuple[int, ...]
    """Those that are changed, this feature among them."""
    at: int | None
    """The token after which the next one is predicted, counted over the rows; None is the default."""
    every: bool
    writing: Writing


@dataclass(frozen=True)
class Change:
    """A feature that fires otherwise than before, at the token where it changes most."""

    feature: int
    position: int
    before: float
    after: float


@dataclass(frozen=True)
class Written:
    """What the model writes on."""

    token_ids: tuple[int, ...]
    str_tokens: tuple[str, ...]
    probabilities: tuple[float, ...]
    ended: bool
    """Whether the model itself ended the text."""


@dataclass(frozen=True)
class Outcome:
    """What a plan does."""

    passage: ReadPassage
    acts: dict[int, float]
    """The feature's own activation on each token of the text on which it fires, counted over the rows."""
    at: int
    window: int
    position: int
    candidates: tuple[Candidate, ...]
    """Next tokens as likely as they were."""
    after: tuple[float, ...]
    """How likely each of them is then."""
    kl: float
    mean_kl: float
    loss_before: float | None
    loss_after: float | None
    changes: tuple[Change, ...]
    """Of the other features, strongest first; the strongest of them."""
    n_changed: int
    """All other features that change."""
    plain: Written
    changed: Written


def plan_of(queries: Queries, feature: int, given: Mapping[str, object]) -> Plan:
    """What the page asks for; raises AddressError for what makes no sense."""
    if "length" in given:
        raise too_long(given["length"])
    mode, value = change_of(given.get("effect"))
    text, at = given.get("text"), given.get("at")
    on = None if text else given.get("on")
    if not text and on in (None, ""):
        raise AddressError("no text", "an example, or a text of your own", "choose or write one")
    return Plan(
        feature,
        passage_of(queries, text, on),
        mode,
        value,
        together(queries, feature, given),
        None if at is None else _token_number(at),
        one_of(given.get("places"), PLACES, "places") == "every",
        writing_of(given.get("draw")),
    )


def change_of(value: object) -> tuple[Mode, float]:
    """`zero`, `set:3.5` or `add:-2` from an address; raises AddressError."""
    written = value if isinstance(value, str) else ""
    mode, _, number = written.partition(":")
    if mode == "zero" and not number:
        return "zero", 0.0
    if mode in ("set", "add") and NUMBER.fullmatch(number) and abs(float(number)) <= LARGEST:
        return ("set" if mode == "set" else "add"), float(number)
    raise AddressError(
        f"the change {shortened(value)}",
        f"zero, set:NUMBER or add:NUMBER, from -{LARGEST:,.0f} to {LARGEST:,.0f}",
        "correct the value",
    )


def writing_of(value: object) -> Writing:
    """`tokens:temperature:seed` from an address; None is the default. Raises AddressError."""
    if value is None or value == "":
        return Writing()
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) == 3 and all(NUMBER.fullmatch(part) for part in parts):
        n_tokens, temperature, seed = (float(part) for part in parts)
        whole = n_tokens == int(n_tokens) and seed == int(seed)
        if whole and 0 <= n_tokens <= MOST_TOKENS and 0 <= temperature <= 10 and seed >= 0:
            return Writing(int(n_tokens), temperature, int(seed))
    raise AddressError(
        f"the writing {shortened(value)}",
        f"tokens:temperature:seed with 0 to {MOST_TOKENS} tokens, a temperature of 0 to 10, a seed from 0",
        "correct the numbers",
    )


def together(queries: Queries, feature: int, given: Mapping[str, object]) -> tuple[int, ...]:
    """This feature, the others that are listed, and those of a named set; each once."""
    others = feature_list(queries, given.get("also"), "further features")
    chosen = tuple(dict.fromkeys((feature, *others, *set_members(queries, given.get("set")))))
    if len(chosen) > MOST_TOGETHER:
        raise AddressError(
            f"{len(chosen):,} features together", f"at most {MOST_TOGETHER:,}", "choose a smaller set"
        )
    return chosen


def set_names(queries: Queries) -> list[str]:
    """The named sets of features; none where none are kept."""
    return [found.name for found in queries.labels.sets()]


def set_members(queries: Queries, name: object) -> tuple[int, ...]:
    """The features of a named set; none for no name. Raises LightwellError for an unknown one."""
    if name is None or name == "":
        return ()
    if not isinstance(name, str):
        raise AddressError(f"the set {shortened(name)}", "a set of features that is kept", "leave it out")
    return tuple(queries.known_feature(feature) for feature in queries.labels.set_features(name))


def _token_number(value: object) -> int:
    try:
        return feature_number(value)
    except AddressError as error:
        found = error.found.replace("feature", "token")
        raise AddressError(found, error.expected, "choose a token of the text") from None


def outcome_of(queries: Queries, plan: Plan) -> Outcome:
    """Have the model do it; raises AddressError where the text has no such token."""
    found = read(queries, plan.passage)
    if not found.n_rows:
        raise AddressError("a text without a token", "a word or two", "write a text")
    acts = _acts(found, plan.feature)
    at = _strongest(acts, found.n_rows) if plan.at is None else plan.at
    window, position = found.place(at)
    answer = queries.inference.ask(
        "change",
        passage=plan.passage.asked(queries),
        window=window,
        position=position,
        features=list(plan.features),
        mode=plan.mode,
        value=plan.value,
        positions=None if plan.every else [position],
        n_tokens=plan.writing.n_tokens,
        temperature=plan.writing.temperature,
        seed=plan.writing.seed,
    )
    return Outcome(
        found,
        acts,
        at,
        window,
        position,
        candidates=tuple(Candidate(*token) for token in answer["tokens"]),
        after=tuple(answer["after"]),
        kl=answer["kl"],
        mean_kl=answer["mean_kl"],
        loss_before=answer["loss_before"],
        loss_after=answer["loss_after"],
        changes=tuple(Change(*row) for row in answer["changes"]["strongest"]),
        n_changed=answer["changes"]["n_features"],
        plain=_written(answer["plain"]),
        changed=_written(answer["changed"]),
    )


def _acts(found: ReadPassage, feature: int) -> dict[int, float]:
    (places,) = np.nonzero(found.features == feature)
    rows = np.searchsorted(found.indptr, places, side="right") - 1
    return dict(zip(rows.tolist(), found.acts[places].tolist(), strict=True))


def _strongest(acts: Mapping[int, float], n_rows: int) -> int:
    """The token on which the feature fires most; the last one where it is silent."""
    return max(acts, key=lambda row: acts[row]) if acts else n_rows - 1


def _written(answer: Mapping[str, Any]) -> Written:
    return Written(
        tuple(answer["token_ids"]),
        tuple(answer["str_tokens"]),
        tuple(answer["probabilities"]),
        answer["ended"],
    )


def change_in_nats(before: float, after: float) -> float | None:
    """ln of how many times as likely; None where one of them is 0 in floating point."""
    return math.log(after / before) if before > 0 and after > 0 else None

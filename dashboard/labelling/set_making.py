"""Feature sets as a page asks for them: made from a view, from chosen rows or from typed numbers; changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dashboard import grid
from dashboard.address import Address, AddressError, feature_number, parse, shortened
from dashboard.columns import COLUMNS_PARAMETER
from dashboard.labelling.editing import read_author
from dashboard.queries import Queries
from precompute.labels.content import checked_name

RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
LONGEST_LIST = 100_000
"""Characters of typed numbers."""


@dataclass(frozen=True)
class Made:
    """What became of a set."""

    name: str
    n_features: int
    n_added: int
    """Features that it did not have before."""
    is_new: bool


def put(queries: Queries, name: object, features: list[int], author: object) -> Made:
    """Make a set, or add to the one of that name. Raises LabelError or AddressError."""
    labels = queries.labels
    chosen, writer = checked_name(name, "a set's name"), read_author(author, labels)
    before = {entry.name: entry for entry in labels.sets()}.get(chosen)
    if before is None:
        made = labels.create_set(chosen, features, writer)
        return Made(chosen, len(made.features), len(made.features), True)
    known = [queries.known_feature(feature) for feature in features]
    after = labels.set_store.change(chosen, writer, add=known)
    return Made(chosen, len(after.features), len(after.features) - len(before.features), False)


def asked_features(queries: Queries, asked: object) -> list[int]:
    """The features that a page chose: a list of numbers, or those of a view by its address."""
    order = asked if isinstance(asked, Mapping) else {}
    chosen = order.get("features")
    if chosen is None:
        return in_view(queries, order.get("search"))
    if not isinstance(chosen, list) or len(chosen) > queries.d_sae():
        raise AddressError(f"the features {shortened(chosen)}", "a list of numbers", "choose rows again")
    if not chosen:
        raise AddressError("no chosen row", "at least one", "tick rows of the table first")
    return [queries.known_feature(number) for number in chosen]


def in_view(queries: Queries, search: object) -> list[int]:
    """The features that a view of the table shows, by the parameters of its address."""
    asked = parse("/features", search)
    kept = {name: value for name, value in asked.parameters.items() if name != COLUMNS_PARAMETER}
    found = queries.feature_order(grid.view_of_address(Address(asked.path, kept)))
    numbers: list[int] = queries.feature_table()["feature"].gather(found).to_list()
    return numbers


def typed_features(text: object, d_sae: int) -> list[int]:
    """Numbers and ranges such as `1, 5, 7-9`; raises AddressError for what is none."""
    if not isinstance(text, str) or len(text) > LONGEST_LIST:
        raise AddressError(f"features {shortened(text)}", "numbers such as 1, 5, 7-9", "correct them")
    member = np.zeros(d_sae, dtype=np.bool_)
    for piece in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*-\s*", "-", text.strip()))):
        matched = RANGE.fullmatch(piece)
        if matched is None:
            raise AddressError(f"features {shortened(piece)}", "numbers such as 1, 5, 7-9", "correct them")
        first = feature_number(matched[1], d_sae)
        last = feature_number(matched[2], d_sae) if matched[2] else first
        member[first : last + 1] = True
    return [int(feature) for feature in np.flatnonzero(member)]

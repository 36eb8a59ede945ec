"""What is laid over the examples of a feature: a second feature, or a named set of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.address import AddressError, shortened
from dashboard.labelling.text import shown
from dashboard.queries import Queries
from dashboard.tables import optional
from precompute.stores.feature_store import FeatureActivations

SET = "set:"
"""What a set's name stands after."""
MOST_TOGETHER = 64
"""Features of a set that can be laid over: each is read from the store."""


@dataclass(frozen=True)
class Overlay:
    """Activations in a second colour."""

    name: str
    """In words: `feature 7`, or `the set “brackets”`."""
    found: FeatureActivations
    """Where it fires; of a set, the sum of its features' activations."""

    @property
    def top(self) -> float:
        """The largest activation."""
        return float(self.found.acts.max(initial=0))


def overlay_of(queries: Queries, value: object) -> Overlay | None:
    """What an address or a field names: a number, or `set:NAME`; None for nothing.

    Raises LightwellError for a feature or set that there is not.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.startswith(SET):
        return _of_set(queries, value.removeprefix(SET))
    feature = queries.known_feature(value)
    return Overlay(f"feature {feature}", _activations(queries, feature))


def set_suggestions(queries: Queries) -> list[str]:
    """The sets that can be laid over, as the field has them."""
    known = optional(queries.labels.sets) or ()
    return [f"{SET}{entry.name}" for entry in known if len(entry.features) <= MOST_TOGETHER]


def _of_set(queries: Queries, name: str) -> Overlay:
    members = queries.labels.set_features(name)
    if not 1 <= len(members) <= MOST_TOGETHER:
        raise AddressError(
            f"{len(members):,} features in the set {shortened(name)}",
            f"1 to {MOST_TOGETHER} that are laid over a text together",
            "choose another set",
        )
    version = queries.tables.fingerprint("transpose")
    question = ("activations of a set", members)
    found = queries.tables.memo.get(question, version, lambda: summed(_each(queries, members)))
    return Overlay(f"the set “{shown(name, 40)}”", found)


def _each(queries: Queries, members: Sequence[int]) -> list[FeatureActivations]:
    return [_activations(queries, feature) for feature in members]


def _activations(queries: Queries, feature: int) -> FeatureActivations:
    return queries.tables.reading("transpose", lambda: queries.artifacts.feature(feature))


def summed(parts: Sequence[FeatureActivations]) -> FeatureActivations:
    """The sum of several features' activations on each row, float32; rows ascend."""
    rows, places = np.unique(np.concatenate([part.rows for part in parts]), return_inverse=True)
    acts = np.bincount(places, np.concatenate([part.acts for part in parts]), minlength=len(rows))
    return FeatureActivations(rows, acts.astype(np.float32))

"""The review queue: firing features without a label, in an order that an address names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries

RANDOM = re.compile(r"random:([0-9]{1,6})")
ORDERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "frequency": ("Most frequent first", "n_nonzero"),
        "max": ("Largest activation first", "max"),
        "kurtosis": ("Most telling logit effect first", "kurtosis"),
    }
)
"""Orders by their names in an address: in words, and the column of the feature table, largest first."""
DEFAULT = "frequency"


@dataclass(frozen=True)
class Place:
    """Where one stands in a queue."""

    queue: str
    next: int | None
    """The unlabelled feature that comes after; None where there is no other."""
    n_left: int
    """Firing features without a label."""


def known_queue(value: object) -> str:
    """A queue's name from an address; raises AddressError. `random:7` is shuffled by the seed 7."""
    if isinstance(value, str) and (value in ORDERS or RANDOM.fullmatch(value)):
        return value
    raise AddressError(
        f"queue {shortened(value)}",
        f"one of {', '.join(ORDERS)}, random:SEED",
        "choose one on the Labels page",
    )


def in_words(queue: str) -> str:
    """An order as people read it."""
    return ORDERS[queue][0] if queue in ORDERS else f"random, seed {queue.removeprefix('random:')}"


def ordered(queries: Queries, queue: str) -> NDArray[np.int64]:
    """Every feature that fires, in the order of a queue; ties by number, absent values last."""
    table = queries.feature_table()
    version = tuple(queries.tables.fingerprint(step) for step in ("feature_stats", "logit_stats"))

    def order() -> NDArray[np.int64]:
        firing = table.filter(table["n_nonzero"] > 0)
        if queue not in ORDERS:
            return np.random.default_rng(int(queue.removeprefix("random:"))).permutation(
                firing["feature"].to_numpy().astype(np.int64)
            )
        column = ORDERS[queue][1]
        if column not in firing.columns:
            raise AddressError(
                f"the queue {queue} without {column}", "a computed column", "choose another order"
            )
        by = firing.sort([column, "feature"], descending=[True, False], nulls_last=True)
        return by["feature"].to_numpy().astype(np.int64)

    return queries.tables.memo.get(("queue", queue), version, order)


def unlabelled(queries: Queries, queue: str) -> NDArray[np.int64]:
    """The features of a queue that have no label yet, in its order."""
    order = ordered(queries, queue)
    is_labelled = np.zeros(queries.d_sae(), dtype=np.bool_)
    labelled = queries.labels.state().labelled
    is_labelled[labelled[labelled < len(is_labelled)]] = True
    return order[~is_labelled[order]]


def place(queries: Queries, queue: str, feature: int) -> Place:
    """What comes after a feature; after the last one it begins again."""
    waiting, order = unlabelled(queries, queue), ordered(queries, queue)
    ranks = np.full(queries.d_sae(), -1, dtype=np.int64)
    ranks[order] = np.arange(len(order))
    others = waiting[waiting != feature]
    later = others[ranks[others] > ranks[feature]]
    after = later if len(later) else others
    return Place(queue, int(after[0]) if len(after) else None, len(waiting))

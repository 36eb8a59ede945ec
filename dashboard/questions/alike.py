"""Which examples read alike where the feature fires."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.records import ShownExample

N_TOKENS = 8
"""Tokens, the active one included, that must be equal."""


def alike(examples: Iterable[ShownExample]) -> list[tuple[ShownExample, ...]]:
    """Examples in groups of equal tokens up to the active one, in the order in which groups begin.

    An example without an active token stands alone.
    """
    groups: dict[object, list[ShownExample]] = {}
    for place, example in enumerate(examples):
        end = example.position
        key = place if end is None else example.token_ids[max(0, end + 1 - N_TOKENS) : end + 1]
        groups.setdefault(key, []).append(example)
    return [tuple(group) for group in groups.values()]

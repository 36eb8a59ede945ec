"""The tenth rule: no group may give more than its share of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


def water_level(sizes: Mapping[str, int], share: float) -> float:
    """Return the largest cap c with c <= share * sum(min(size, c)): what each group is cut to.

    With k groups cut to c and the others adding up to `rest`, c = share * (k * c + rest). Fewer
    than 1 / share groups cannot satisfy it, so the share is then that of equal parts.
    """
    ordered = sorted((size for size in sizes.values() if size > 0), reverse=True)
    if not ordered:
        return 0.0
    share = max(share, 1.0 / len(ordered))
    rest = float(sum(ordered))
    for n_cut, size in enumerate(ordered):
        remaining = 1.0 - share * n_cut
        if remaining <= 1e-12:
            break
        cap = share * rest / remaining
        if size <= cap:
            return cap
        rest -= size
    return float(ordered[-1])


def seeded_order(keys: Sequence[str], seed: int) -> list[int]:
    """Return the indices of `keys` in the order of their salted hashes; equal keys keep their order."""
    digests = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys]
    return sorted(range(len(keys)), key=lambda index: (digests[index], index))


def fill(lengths: Sequence[int], order: Sequence[int], cap: float) -> list[int]:
    """Return, sorted, the indices taken in `order` while their total length stays within `cap`."""
    taken, total = [], 0
    for index in order:
        if total + lengths[index] <= cap:
            taken.append(index)
            total += lengths[index]
    return sorted(taken)

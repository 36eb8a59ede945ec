"""The bands of `examples.parquet`: their order, names and meaning."""

from __future__ import annotations

import re
from functools import lru_cache

from dashboard.records import Band

TOP, MISS = "top", "miss"
GROUPS = ("top", "q", "v", "miss")


def band_order(names: list[str]) -> list[str]:
    """Top first, then quantile bands and value bands from high to low, near misses last."""

    def place(name: str) -> tuple[int, int, str]:
        group, number = _split(name)
        return (GROUPS.index(group) if group in GROUPS else len(GROUPS), -number, name)

    return sorted(names, key=place)


def _split(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"([qv])(\d+)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def band(name: str, all_names: list[str], n_examples: int) -> Band:
    """A band with its label and explanation."""
    return Band(name, *_words(name, tuple(all_names)), n_examples)


@lru_cache(maxsize=1024)
def _words(name: str, all_names: tuple[str, ...]) -> tuple[str, str]:
    """Label and explanation of a band."""
    group, number = _split(name)
    n = sum(_split(other)[0] == group for other in all_names)
    low, high = round(100 * (number - 1) / max(n, 1)), round(100 * number / max(n, 1))
    labels = {"top": "Top", "q": f"Q{number}", "v": f"V{number}", "miss": "Near misses"}
    descriptions = {
        "top": "The strongest activations, one for each text.",
        "q": f"Quantile band {number} of {n}: activations between the {low}th and the {high}th percentile "
        "of the non-zero ones.",
        "v": f"Value band {number} of {n}: activations from {low} % to {high} % of the maximum.",
        "miss": "Texts that resemble the top examples (their mean residual vector is nearest, by cosine) "
        "and on which the feature does not fire.",
    }
    return labels.get(group, name), descriptions.get(group, name)

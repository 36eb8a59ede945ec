"""What a terminal is told of density weights: a bar for each stage, and what came out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from precompute.density.stages import EMBEDDINGS, GRAPH, WEIGHTS

LABELS: Mapping[str, str] = {
    EMBEDDINGS.name: "embedding prompts",
    GRAPH.name: "searching neighbours",
    WEIGHTS.name: "weighing",
}


def describe(place: object, metadata: Mapping[str, Any]) -> str:
    """What came out, in one line."""
    favored = "sparse" if metadata["favor"] == "rare" else "dense"
    return (
        f"{place}: {metadata['n_prompts']:,} prompts ({metadata['n_distinct']:,} distinct), "
        f"effective sample size {metadata['effective_sample_size']:,.0f}; {favored} regions get more"
    )


def warn_of_size(n_prompts: int, d: int) -> None:
    """Warn of vectors as wide as a vocabulary."""
    size = 4 * n_prompts * d / 1e9
    print(
        f"lightwell: warning: --pooling logits: {n_prompts:,} vectors of {d:,} numbers take {size:,.2f} GB, "
        "and up to as much again while they are computed; those of hidden states are far smaller",
        file=sys.stderr,
    )

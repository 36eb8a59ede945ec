"""The stages of density weights.

Vectors, neighbour graph and weights are published apart, so that another exponent embeds nothing again.
"""

from __future__ import annotations

from precompute.pipeline.stages import Stage

EMBEDDINGS = Stage(
    "prompt_embeddings", 1, "The vectors of prompts, in their order.", ("embeddings.npy", "prompts_list.json")
)
GRAPH = Stage("prompt_graph", 1, "The nearest other texts of each distinct text.", ())
WEIGHTS = Stage(
    "density_weights",
    1,
    "The chance of each prompt to be drawn: sparse regions get more, or dense ones.",
    ("density_weights.npy", "embeddings_metadata.json"),
)
STAGES = (EMBEDDINGS, GRAPH, WEIGHTS)

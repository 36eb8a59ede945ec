"""The stages of a trait: responses as they are written, scored, what was captured of them, and vectors."""

from __future__ import annotations

from precompute.pipeline.stages import Stage

RESPONSES_FILE, ACTIVATIONS_DIRECTORY, VECTORS_DIRECTORY = "responses.parquet", "activations", "vectors"
GENERATED_FILE, GENERATED_SHARDS = "generated.parquet", "shards"
INDEX_FILE = "activations.json"
PROJECTIONS_FILE = "projections.parquet"

GENERATION = Stage("trait_generation", 1, "What the model answers to the instructions of both sides.", ())
RESPONSES = Stage(
    "trait_responses", 1, "The responses, scored by a judge where one is chosen.", (RESPONSES_FILE,)
)
ACTIVATIONS = Stage(
    "trait_activations",
    1,
    "What passes the capture sites, averaged by position rules.",
    (ACTIVATIONS_DIRECTORY,),
)
VECTORS = Stage(
    "trait_vectors", 1, "Directions that set the two sides apart, and how well they do.", (VECTORS_DIRECTORY,)
)
STAGES = (GENERATION, RESPONSES, ACTIVATIONS, VECTORS)

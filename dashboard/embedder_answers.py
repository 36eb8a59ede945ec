"""What the process that holds an embedding model answers: vectors of texts.

Runs in that process alone; the server must not import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from precompute.embeddings.embedding_set import EmbeddingSet
from precompute.embeddings.search import query_encoder
from precompute.errors import UsageError

Parameters = Mapping[str, Any]


def embedder_for(described: Parameters) -> Callable[[str, Parameters], Any]:
    """Load the encoder that made a set, as it was then; gives what answers questions."""
    embedded = EmbeddingSet(described["model"], described["size"], described["data_dir"])
    encoder = query_encoder(embedded)

    def answer(question: str, parameters: Parameters) -> Any:
        if question != "vector":
            raise UsageError(f"question {question!r}", "vector", "ask for that")
        return encoder.encode([parameters["text"]])[0].tolist()

    return answer

"""Three ways to the same responses and vectors, from the plainest to the quickest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from precompute.extraction.decoding import generate_batch
from precompute.extraction.generation import Capture, Generation, Request, Response
from precompute.extraction.reading import TokenText, read_vectors
from precompute.extraction.settings import PipelineName
from precompute.models.language_model import LanguageModel

Pipeline = Callable[
    [LanguageModel, Sequence[Request], Generation, int, Callable[[int], None]], Iterator[Response]
]


def serial(
    model: LanguageModel,
    requests: Sequence[Request],
    chosen: Generation,
    _batch_size: int,
    on_halved: Callable[[int], None],
) -> Iterator[Response]:
    """One prompt at a time: written first, then read again for what is captured."""
    plain = dataclasses.replace(chosen, capture=Capture())
    for request in requests:
        for response in generate_batch(model, [request], plain, 1, on_halved):
            text = TokenText(response.prompt, response.token_ids)
            vectors = read_vectors(model, [text], chosen.capture, 1)[0] if chosen.capture.sites else {}
            yield dataclasses.replace(response, vectors=vectors)


def combined(
    model: LanguageModel,
    requests: Sequence[Request],
    chosen: Generation,
    _batch_size: int,
    on_halved: Callable[[int], None],
) -> Iterator[Response]:
    """One prompt at a time, captured while it is written."""
    return generate_batch(model, requests, chosen, 1, on_halved)


PIPELINES: Mapping[PipelineName, Pipeline] = MappingProxyType(
    {"serial": serial, "combined": combined, "batched": generate_batch}
)
"""By the names that `--pipeline` takes."""

"""Batched generation and capture for programs: two functions over texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from precompute.errors import UsageError
from precompute.extraction.capture import Vectors
from precompute.extraction.fitting import fitting_batch
from precompute.extraction.generation import Capture, Generation, Request
from precompute.extraction.pipelines import PIPELINES
from precompute.extraction.positions import parse_rules
from precompute.extraction.prompts import prompt_ids
from precompute.extraction.reading import TokenText, read_vectors
from precompute.extraction.sampling import Sampling
from precompute.extraction.settings import FinishReason, PipelineName
from precompute.extraction.soundness import check_rows
from precompute.models.tokenizing import text_encoder

if TYPE_CHECKING:
    from precompute.extraction.text_model import TextModel

READ_AT_ONCE = 16


@dataclass(frozen=True)
class GeneratedText:
    """A response with what was captured of it."""

    text: str
    token_ids: tuple[int, ...]
    """Without the end-of-text token."""
    prompt_token_ids: tuple[int, ...]
    finish_reason: FinishReason
    near_tie: int | None
    """The first step at which rounding might have chosen another token."""
    activations: Vectors
    """By capture site, float32 [n_rules, d]; NaN where a rule names no token."""


def generate_batch_with_activations(
    model: TextModel,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    sites: Sequence[str],
    positions: Sequence[str] = ("response[:]",),
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int | None = None,
    pipeline: PipelineName = "batched",
) -> list[GeneratedText]:
    """Answer prompts, texts or token ids, and capture what passes `sites`, in their order.

    Texts are tokenised as they are, after the tokenizer's BOS where it has one. The batch size (None: what
    fits) changes no response. Raises UsageError for what cannot be done.
    """
    capture = Capture(tuple(sites), parse_rules(positions))
    sampling = Sampling(temperature, top_p, seed)
    ids = [prompt_ids(model, p) if isinstance(p, str) else tuple(p) for p in prompts]
    requests = [Request(number, prompt) for number, prompt in enumerate(ids)]
    if max_new_tokens < 1:
        raise UsageError(f"max_new_tokens {max_new_tokens}", "at least 1", "give another")
    chosen = Generation(max_new_tokens, sampling, model.end_tokens, capture)
    longest = max((len(prompt) for prompt in ids), default=0) + max_new_tokens
    size = batch_size or fitting_batch(model.language_model, longest)
    check_rows(model.language_model)
    found = PIPELINES[pipeline](model.language_model, requests, chosen, size, lambda _: None)
    responses = sorted(found, key=lambda response: response.example)
    texts = model.decode([response.token_ids for response in responses])
    return [
        GeneratedText(text, r.token_ids, r.prompt, r.finish_reason, r.near_tie, r.vectors)
        for text, r in zip(texts, responses, strict=True)
    ]


def get_activations_from_texts(
    model: TextModel,
    texts: Sequence[str] | Sequence[Sequence[int]],
    sites: Sequence[str],
    positions: Sequence[str] = ("response[:]",),
    *,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """What passes `sites` while texts, or token ids, are read: by site, float32 [n_texts, n_rules, d].

    The whole text is the `response` of position rules, the tokenizer's BOS the `prompt`; an empty text gives
    NaN.
    """
    capture = Capture(tuple(sites), parse_rules(positions))
    bos = () if model.bos_token_id is None else (model.bos_token_id,)
    encode = text_encoder(model.tokenizer)
    responses = [tuple(encode([text])[0]) if isinstance(text, str) else tuple(text) for text in texts]
    pairs = [TokenText(bos, response) for response in responses]
    found = read_vectors(model.language_model, pairs, capture, batch_size or READ_AT_ONCE)
    return {site: np.stack([one[site] for one in found]) for site in sites if found}

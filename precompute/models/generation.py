"""Text that the model writes on from a window, with or without an intervention on its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import UsageError
from precompute.models.interventions import Intervention, Steering
from precompute.models.opened import OpenedModel, Window
from precompute.models.passes import Change, log_probabilities, run

SAME_LOGITS = 1e-3
"""Relative; how well passes with a cache must repeat one pass over all tokens."""


@dataclass(frozen=True)
class Continuation:
    """Tokens written after a window."""

    token_ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    """Of each token as it was drawn, at temperature 1."""
    ended: bool
    """Whether it stopped at the end-of-text token, which is not among the tokens, or at the model's longest
    text, rather than at the number asked for."""


def generate(  # noqa: PLR0917 - each is one thing that a person chooses
    model: OpenedModel,
    window: Window,
    n_tokens: int,
    chosen: Intervention | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> Continuation:
    """Write on from a window, the intervention acting on its chosen tokens and on every new one.

    Temperature 0 takes the likeliest token (the lower id of equals). Otherwise tokens are drawn by inverting
    the cumulative probabilities at one seeded uniform number each: with one seed, a run with an intervention
    and one without draw alike, so what differs is the intervention's.
    """
    model.checked(window)
    if n_tokens < 0 or not 0 <= temperature <= 10:
        raise UsageError(
            f"{n_tokens} tokens at temperature {temperature}", "0 tokens or more, at 0 to 10", "correct them"
        )
    steering = None if chosen is None else Steering(model, chosen, window)
    uniform = np.random.default_rng(seed).random(n_tokens)
    next_logits = _Cached(model, steering) if model.keeps_cache else _Whole(model, steering)
    ids, probabilities = list(window.token_ids), list[float]()
    room = min(n_tokens, model.longest - window.n_tokens)
    for draw in uniform[:room].tolist():
        likely = log_probabilities(next_logits(ids))
        token = _drawn(likely, temperature, draw)
        if token == model.tokenizer.eos_token_id:
            return Continuation(tuple(ids[window.n_tokens :]), tuple(probabilities), ended=True)
        ids.append(token)
        probabilities.append(float(likely[token].exp()))
    return Continuation(tuple(ids[window.n_tokens :]), tuple(probabilities), ended=room < n_tokens)


def _drawn(log_probability: Tensor, temperature: float, uniform: float) -> int:
    values: NDArray[np.float64] = log_probability.cpu().numpy()
    if temperature == 0:
        return int(values.argmax())
    weights = np.exp((values - values.max()) / temperature)
    cumulative = np.cumsum(weights)
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(values) - 1))


class _Whole:
    """The logits after some tokens, by reading all of them each time."""

    def __init__(self, model: OpenedModel, steering: Steering | None) -> None:
        self._model, self._steering = model, steering

    def __call__(self, token_ids: list[int]) -> Tensor:
        if self._steering is not None:
            self._steering.next_position = 0
        return run(self._model, token_ids, _change(self._steering)).logits[-1]


class _Cached:
    """The same, reading only the tokens that are new."""

    def __init__(self, model: OpenedModel, steering: Steering | None) -> None:
        self._model, self._steering = model, steering
        self._cache = None
        self._n_read = 0

    def __call__(self, token_ids: list[int]) -> Tensor:
        seen = run(
            self._model,
            token_ids[self._n_read :],
            _change(self._steering),
            cache=self._cache,
            use_cache=True,
        )
        self._cache, self._n_read = seen.cache, len(token_ids)
        return seen.logits[-1]


def _change(steering: Steering | None) -> Change:
    return (lambda _: None) if steering is None else steering


def cache_is_right(model: OpenedModel) -> bool:
    """Whether reading token by token, with keys and values kept, gives this model's own logits."""
    ids = model.reader.language_model.sites.probe_tokens()[0].tolist()
    whole, cached = _Whole(model, None), _Cached(model, None)
    try:
        pairs = [(whole(ids[:n]), cached(ids[:n])) for n in (2, 3, 4, len(ids))]
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError):
        # Models of other kinds keep other states, or none, and fail in as many ways.
        return False
    return all(bool((b - a).norm() <= SAME_LOGITS * a.norm()) for a, b in pairs)

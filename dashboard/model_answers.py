"""What the model's process answers: questions of the pages, put to the functions of precompute.

Runs in that process alone; the server must not import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.trait_answers import project, steer_along
from precompute.config import ModelType
from precompute.errors import NotApplicableError, UsageError
from precompute.models.contributions import contributions, look
from precompute.models.generation import Continuation, generate
from precompute.models.interventions import FeatureChanges, Intervention, intervene
from precompute.models.opened import OpenedModel, Window
from precompute.models.text_features import EncodedText, encode_windows
from precompute.models.threads import suit_threads

Parameters = Mapping[str, Any]
NEXT_TOKENS = 20
"""Likeliest next tokens that are told."""
CHANGES = 60
"""Other features whose change is told."""


def opened_for(model_type: Parameters) -> Callable[[str, Parameters], Any]:
    """Load a model type as the server describes it; gives what answers questions about it."""
    model = OpenedModel.load(ModelType.model_validate(model_type))
    suit_threads(model.reader.language_model.model)
    # The first pass through an SAE compiles; nobody should wait for that twice.
    encode_windows(model, [Window((0, 1, 2), 1)])

    def answer(question: str, parameters: Parameters) -> Any:
        return QUESTIONS[question](model, parameters)

    return answer


def encode(model: OpenedModel, asked: Parameters) -> Any:
    """Tokens of a text, and what fires on each."""
    return _encoded(model, encode_windows(model, _windows(model, asked["passage"])))


def encode_many(model: OpenedModel, asked: Parameters) -> Any:
    """Several texts: for each the features that fire, with their rows and the sum of their activations."""
    return [_summed(encode_windows(model, _windows(model, text))) for text in asked["passages"]]


def inspect(model: OpenedModel, asked: Parameters) -> Any:
    """One token: what may come next, and what each feature that fires adds to one next token."""
    window = _window(model, asked)
    seen = look(model, window, asked["position"])
    order = np.argsort(-seen.probabilities, kind="stable")
    chosen = int(order[0]) if asked["next"] is None else int(asked["next"])
    try:
        added: list[float] | None = contributions(model, seen, chosen).tolist()
        reason = ""
    except NotApplicableError as error:
        added, reason = None, str(error)
    return {
        "next": _tokens(model, order[:NEXT_TOKENS], seen.probabilities),
        "chosen": _tokens(model, np.array([chosen]), seen.probabilities)[0],
        "logit": float(seen.logits[chosen]),
        "features": seen.features.tolist(),
        "acts": seen.acts.tolist(),
        "contributions": added,
        "reason": reason,
        "unit": seen.unit,
    }


def change(model: OpenedModel, asked: Parameters) -> Any:
    """An intervention: next token before and after, other features, and what is written on."""
    window, position = _window(model, asked), int(asked["position"])
    positions = asked["positions"]
    chosen = Intervention(
        tuple(asked["features"]),
        asked["mode"],
        float(asked["value"]),
        None if positions is None else tuple(positions),
    )
    found = intervene(model, window, chosen, position)
    told = _told(found.before, found.after)
    prompt = Window(window.token_ids[: position + 1], window.n_special)
    kept = None if positions is None else tuple(p for p in positions if p <= position)
    again = Intervention(chosen.features, chosen.mode, chosen.value, kept)
    draws = int(asked["n_tokens"]), float(asked["temperature"]), int(asked["seed"])
    return {
        "str_tokens": [model.str_tokens[i] for i in window.token_ids],
        "tokens": _tokens(model, told, found.before),
        "after": found.after[told].tolist(),
        "kl": found.kl,
        "mean_kl": found.mean_kl,
        "loss_before": found.loss_before,
        "loss_after": found.loss_after,
        "changes": _changes(found.changes, chosen.features),
        "plain": _continued(model, generate(model, prompt, draws[0], None, *draws[1:])),
        "changed": _continued(model, generate(model, prompt, draws[0], again, *draws[1:])),
    }


QUESTIONS: Mapping[str, Callable[[OpenedModel, Parameters], Any]] = MappingProxyType(
    {
        "encode": encode,
        "encode_many": encode_many,
        "inspect": inspect,
        "change": change,
        "project": project,
        "steer_along": steer_along,
    }
)
"""Everything that may be asked."""


def _windows(model: OpenedModel, passage: Parameters) -> tuple[Window, ...]:
    """A text as it is cut, or an example of the corpus by its token ids."""
    if "text" in passage:
        return model.windows(passage["text"])
    return (Window(tuple(passage["token_ids"]), passage["n_special"]),)


def _window(model: OpenedModel, asked: Parameters) -> Window:
    windows, number = _windows(model, asked["passage"]), asked["window"]
    if not 0 <= number < len(windows):
        raise UsageError(
            f"part {number} of a text of {len(windows)} parts", "an existing one", "choose a token"
        )
    return windows[number]


def _encoded(model: OpenedModel, encoded: EncodedText) -> Any:
    return {
        "windows": [
            {
                "token_ids": list(window.token_ids),
                "n_special": window.n_special,
                "str_tokens": [model.str_tokens[i] for i in window.token_ids],
            }
            for window in encoded.windows
        ],
        "window": encoded.window.tolist(),
        "position": encoded.position.tolist(),
        "indptr": encoded.indptr.tolist(),
        "features": encoded.features.tolist(),
        "acts": encoded.acts.tolist(),
    }


def _summed(encoded: EncodedText) -> Any:
    features, places = np.unique(encoded.features, return_inverse=True)
    return {
        "n_rows": len(encoded.position),
        "features": features.tolist(),
        "counts": np.bincount(places, minlength=len(features)).tolist(),
        "sums": np.bincount(places, weights=encoded.acts, minlength=len(features)).tolist(),
    }


def _tokens(model: OpenedModel, ids: NDArray[Any], probabilities: NDArray[np.float64]) -> list[list[Any]]:
    """[token id, token, probability] of some tokens."""
    return [[int(i), model.str_tokens[int(i)], float(probabilities[i])] for i in ids]


def _told(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.int64]:
    """The likeliest tokens of both, the likeliest before first, then what is new after."""
    first, second = (np.argsort(-p, kind="stable")[: NEXT_TOKENS // 2] for p in (before, after))
    return np.concatenate([first, second[~np.isin(second, first)]])


def _changes(found: FeatureChanges, own: tuple[int, ...]) -> Any:
    """The other features, each at the token where it changes most; strongest changes first."""
    size = np.abs(found.after - found.before)
    order = np.argsort(-size, kind="stable")
    order = order[~np.isin(found.feature[order], own)]
    _, firsts = np.unique(found.feature[order], return_index=True)
    chosen = order[np.sort(firsts)]
    shown = chosen[:CHANGES]
    columns = (found.feature, found.position, found.before, found.after)
    rows = [list(row) for row in zip(*(column[shown].tolist() for column in columns), strict=True)]
    return {"n_features": len(chosen), "strongest": rows}


def _continued(model: OpenedModel, found: Continuation) -> Any:
    return {
        "str_tokens": [model.str_tokens[i] for i in found.token_ids],
        "token_ids": list(found.token_ids),
        "probabilities": list(found.probabilities),
        "ended": found.ended,
    }

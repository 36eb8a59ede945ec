"""Features set to other activations while the model reads: x' = x + (a' - a) W_dec[f], the rest of x kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import UsageError
from precompute.models.opened import OpenedModel, Window
from precompute.models.passes import Seen, log_probabilities, run
from precompute.models.sae.base import SparseActs

Mode = Literal["zero", "set", "add"]
MODES: Mapping[str, Callable[[Tensor, float], Tensor]] = MappingProxyType(
    {
        "zero": lambda acts, _: -acts,
        "set": lambda acts, value: value - acts,
        "add": torch.full_like,
    }
)
"""a' - a of each mode, from a and the value: exactly 0 where nothing is to change."""


@dataclass(frozen=True)
class Intervention:
    """What is done to some features, all alike."""

    features: tuple[int, ...]
    mode: Mode
    value: float = 0.0
    """In units of activation: what features are set to, or what is added; `zero` has none."""
    positions: tuple[int, ...] | None = None
    """Tokens of the window on which it is done; None is every row. Tokens written anew always count."""


@dataclass(frozen=True)
class FeatureChanges:
    """Features that fire differently on a row after an intervention than before; the arrays go together."""

    position: NDArray[np.int64]
    """Ascending."""
    feature: NDArray[np.int64]
    """Ascending within a position; those of the intervention among them."""
    before: NDArray[np.float32]
    after: NDArray[np.float32]


@dataclass(frozen=True)
class Effect:
    """What an intervention on a window does."""

    position: int
    """The token after which the next one is predicted."""
    before: NDArray[np.float64]
    """[d_vocab]: probability of each next token."""
    after: NDArray[np.float64]
    kl: float
    """KL(before || after) of the next token, in nats."""
    mean_kl: float
    """The same, on average over all rows."""
    loss_before: float | None
    """Mean cross-entropy of the text's own tokens that have one before them, in nats; None without any."""
    loss_after: float | None
    changes: FeatureChanges
    """By encoding x' again. Nothing flows from a site back to itself within a pass, so only rows on which
    the intervention acts are in it."""


class Steering:
    """Puts an intervention in place, over one pass or several that follow each other with a cache."""

    def __init__(self, model: OpenedModel, chosen: Intervention, window: Window) -> None:
        self._model, self._chosen, self._window = model, checked(model, chosen, window), window
        self._features = torch.tensor(chosen.features, device=model.reader.language_model.device)
        self.next_position = 0
        """Of the first token of the next pass."""

    def __call__(self, value: Tensor) -> Tensor | None:
        """What takes the place of [1, n_tokens, d_in]; None where nothing changes, so that no bit does."""
        first, self.next_position = self.next_position, self.next_position + value.shape[1]
        acted = [p - first for p in range(first, self.next_position) if self._acts_on(p)]
        if not acted:
            return None
        step = self._step(value[0, acted].float())
        moved = step.any(dim=-1)
        if not bool(moved.any()):
            return None
        places = torch.tensor(acted, device=value.device)[moved]
        changed = value.float().clone()
        changed[0, places] += step[moved]
        return changed

    def _acts_on(self, position: int) -> bool:
        chosen = self._chosen.positions
        is_new = position >= self._window.n_tokens
        return is_new or (position in self._window.rows and (chosen is None or position in chosen))

    def _step(self, x: Tensor) -> Tensor:
        """(a' - a) W_dec[f] in the units of `decode`, summed over the features; float32 [n_rows, d_in]."""
        encoded = self._model.reader.sae.encode(x)
        acts = _columns(encoded.acts, self._features, self._model.d_sae)
        difference = MODES[self._chosen.mode](acts, self._chosen.value)
        step: Tensor = difference @ self._model.directions[self._features]
        scale = encoded.normalized.scale
        return step if scale is None else step * scale


def _columns(acts: SparseActs, features: Tensor, d_sae: int) -> Tensor:
    """Activations of some features, zeros included; float32 [n_rows, n_features]."""
    place = torch.full((d_sae,), -1, device=acts.features.device)
    place[features] = torch.arange(len(features), device=place.device)
    rows = torch.repeat_interleave(torch.arange(len(acts.counts), device=place.device), acts.counts)
    columns = place[acts.features]
    kept = columns >= 0
    dense = torch.zeros(len(acts.counts), len(features), device=place.device)
    dense[rows[kept], columns[kept]] = acts.acts[kept]
    return dense


def checked(model: OpenedModel, chosen: Intervention, window: Window) -> Intervention:
    """The intervention itself; raises UsageError for one that cannot be done."""
    wrong = [feature for feature in chosen.features if not 0 <= feature < model.d_sae]
    if wrong or not chosen.features or len(set(chosen.features)) != len(chosen.features):
        found = f"feature {wrong[0]}" if wrong else "no feature, or one of them twice"
        raise UsageError(found, f"different numbers from 0 to {model.d_sae - 1:,}", "correct the features")
    if chosen.mode not in MODES:
        raise UsageError(f"the mode {chosen.mode!r}", f"one of {', '.join(MODES)}", "choose another")
    if not math.isfinite(chosen.value):
        raise UsageError(f"the value {chosen.value}", "a finite number", "give another")
    for position in chosen.positions or ():
        model.checked_row(window, position)
    return chosen


def intervene(model: OpenedModel, window: Window, chosen: Intervention, position: int) -> Effect:
    """Read a window as it is and with the intervention, and compare; raises UsageError for odd input."""
    model.checked_row(window, position)
    ids = list(window.token_ids)
    plain = run(model, ids)
    steered = run(model, ids, Steering(model, chosen, window))
    before, after = log_probabilities(plain.logits), log_probabilities(steered.logits)
    kl = (before.exp() * (before - after)).sum(dim=-1)
    rows = torch.tensor(list(window.rows))
    return Effect(
        position=position,
        before=before[position].exp().cpu().numpy(),
        after=after[position].exp().cpu().numpy(),
        # Rounding can take what is 0 a little below.
        kl=max(0.0, float(kl[position])),
        mean_kl=max(0.0, float(kl[rows].mean())),
        loss_before=_loss(before, window),
        loss_after=_loss(after, window),
        changes=_changes(model, window, steered),
    )


def _loss(log_probability: Tensor, window: Window) -> float | None:
    targets = [p for p in window.rows if p > 0]
    if not targets:
        return None
    places = torch.tensor([p - 1 for p in targets])
    tokens = torch.tensor([window.token_ids[p] for p in targets])
    return float(-log_probability[places, tokens].mean())


def _changes(model: OpenedModel, window: Window, seen: Seen) -> FeatureChanges:
    touched = [p for p in window.rows if bool((seen.x[p] != seen.changed[p]).any())]
    if not touched:
        none = np.zeros(0, np.int64)
        return FeatureChanges(none, none, none.astype(np.float32), none.astype(np.float32))
    before, after = (model.reader.sae.encode_dense(x[touched]).cpu().numpy() for x in (seen.x, seen.changed))
    rows, features = np.nonzero(before != after)
    places = np.array(touched)[rows]
    return FeatureChanges(places, features, before[rows, features], after[rows, features])

"""What each feature at one token adds to the logit of a next token, by the direct path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.errors import UsageError
from precompute.models.opened import OpenedModel, Window
from precompute.models.passes import log_probabilities, run


@dataclass(frozen=True)
class Look:
    """What the model makes of one token: the features that fire there, and what may come next."""

    position: int
    features: NDArray[np.int64]
    """[n], ascending."""
    acts: NDArray[np.float32]
    """[n]"""
    unit: float
    """What the row makes of one unit of a direction: its own scale in `decode`, over its own sigma at the
    final norm; each is 1 where there is none."""
    logits: NDArray[np.float32]
    """[d_vocab]"""
    probabilities: NDArray[np.float64]
    """[d_vocab], of the next token."""


def look(model: OpenedModel, window: Window, position: int) -> Look:
    """Read a window and look at one of its tokens; raises UsageError where that is no row."""
    model.checked_row(window, position)
    seen = run(model, list(window.token_ids))
    encoded = model.reader.sae.encode(seen.x[position : position + 1])
    scale, norm = encoded.normalized.scale, model.reader.final_norm()
    unit = 1.0 if scale is None else float(scale)
    if norm is not None and seen.before_norm is not None:
        unit *= float(norm.inverse_sigma(seen.before_norm[position]))
    logits = seen.logits[position]
    return Look(
        position=position,
        features=encoded.acts.features.cpu().numpy(),
        acts=encoded.acts.acts.cpu().numpy(),
        unit=unit,
        logits=logits.cpu().numpy(),
        probabilities=log_probabilities(logits).exp().cpu().numpy(),
    )


def contributions(model: OpenedModel, seen: Look, token_id: int) -> NDArray[np.float32]:
    """Logits that each feature adds to a next token: acts * unit * (W_dec[f] @ unembed)[token_id].

    float32 [n], in the order of `seen.features`. This is the direct logit effect of the artifacts with the
    row's own 1/sigma in the place of its mean over rows, so that contributions are parts of this very logit.
    Raises NotApplicableError where a direction has no direct effect.
    """
    unembed = model.unembed
    if not 0 <= token_id < unembed.shape[1]:
        raise UsageError(
            f"token id {token_id}", f"0 to {unembed.shape[1] - 1:,}", "choose a token of the vocabulary"
        )
    effects = (model.directions[seen.features] @ unembed[:, token_id]).cpu().numpy()
    found: NDArray[np.float32] = seen.acts * np.float32(seen.unit) * effects
    return found

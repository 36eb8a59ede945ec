"""Examples through a language model and its SAE: which features fire on each row, and how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import NotApplicableError
from precompute.models.batching import Batch, batches, suited_to
from precompute.models.capture import check_finite, run_to
from precompute.models.final_norm import FinalNorm
from precompute.models.language_model import LanguageModel, load_language_model
from precompute.models.preflight import FINAL_SITE, check_width, site_of
from precompute.models.sae.base import SAE, Encoded
from precompute.models.sae.registry import load_sae, read_header
from precompute.models.sites import Site

if TYPE_CHECKING:
    from precompute.config import ModelType

Array = NDArray[Any]


@dataclass(frozen=True)
class EncodedRows:
    """The rows of some examples, in the order of the examples and their positions."""

    example: Array
    """int64 [n_rows]: which of the examples given."""
    position: Array
    """int64 [n_rows]."""
    counts: Array
    """int64 [n_rows]: features that fire on the row."""
    features: Array
    """int64 [n_nonzero], ascending within a row."""
    acts: Array
    """float32 [n_nonzero]."""
    examples: Array
    """int64 [n_examples]: the examples of `example_means`."""
    example_means: Array
    """float32 [n_examples, d_in]: mean activation vector of each example's rows; 0 where it has none."""
    unit_effect: Array
    """float64 [2]: sum over rows of what the final norm makes of one unit of a feature's direction (its
    scale in `decode`, over sigma), and the number of rows, of the examples that were read to the end; zeros
    where neither changes anything."""


@dataclass(frozen=True)
class SAEReader:
    """A language model with its SAE, attached at a capture site."""

    language_model: LanguageModel
    sae: SAE
    site: Site

    @staticmethod
    def load(model_type: ModelType, device: str) -> SAEReader:
        """Load both; raises UsageError where either cannot be had, or they do not fit together."""
        header = read_header(model_type.sae)
        language_model = load_language_model(model_type, device)
        site = language_model.sites.site(site_of(model_type, header))
        check_width(header, language_model.sites.width(site), site.hook_name)
        sae = load_sae(model_type.sae, language_model.device)
        # TransformerLens centers no model whose norms would see it.
        sae.centers = sae.centers and _has_layer_norm(language_model)
        return SAEReader(language_model, sae, site)

    def encode(
        self,
        examples: Sequence[Sequence[int]],
        n_special: Sequence[int],
        batch_size: int | None,
        advance: Callable[[int], None] = lambda _: None,
        to_the_end: NDArray[np.bool_] | None = None,
    ) -> EncodedRows:
        """Encode every position of the examples after their special ones; `advance` is told rows done.

        A batch size of None is what suits the device. Where `to_the_end` [n_examples] is false, the model is
        run no further than the site, and the example has no part in `unit_effect`.
        """
        skip = np.asarray(n_special, dtype=np.int64)
        size = batch_size or suited_to(self.language_model.device)
        chosen = np.ones(len(examples), bool) if to_the_end is None else to_the_end
        parts: list[EncodedRows] = []
        for whole in (True, False):
            own = np.flatnonzero(chosen == whole)
            for batch in batches([examples[number] for number in own.tolist()], size):
                batch = replace(batch, examples=own[batch.examples])
                parts.append(self._encode_batch(batch, skip[batch.examples], advance, whole))
        return _in_order(parts, len(examples), self.sae.header.d_in)

    def _encode_batch(
        self, batch: Batch, n_special: Array, advance: Callable[[int], None], whole: bool
    ) -> EncodedRows:
        is_row = (batch.mask > 0) & (np.arange(batch.mask.shape[1]) >= n_special[:, None])
        local, position = np.nonzero(is_row)
        passed = self._run(batch, whole)
        rows = torch.from_numpy(is_row).to(passed.at_site.device)
        x = passed.at_site[rows].float()
        check_finite(x, self.site)
        encoded = self.sae.encode(x, advance)
        acts = encoded.acts
        return EncodedRows(
            example=batch.examples[local],
            position=position,
            counts=acts.counts.cpu().numpy(),
            features=acts.features.cpu().numpy(),
            acts=acts.acts.cpu().numpy(),
            examples=batch.examples,
            example_means=_means(passed.at_site, rows),
            unit_effect=_unit_effect(encoded, passed, rows) if whole else np.zeros(2),
        )

    def _run(self, batch: Batch, whole: bool) -> Passed:
        """Run the decoder as far as needed: to the final norm, whose input is kept too, or to the site."""
        norm = self.final_norm() if whole else None
        stop = self.language_model.sites.before_final_norm() if norm is not None else None
        seen = run_to(self.language_model, self.site, stop or self.site, batch)
        return Passed(seen.at_site, seen.last if norm is not None else None, norm)

    def final_norm(self) -> FinalNorm | None:
        """The norm between the site and the logits, where its sigma can be told."""
        if self.site.hook_name == FINAL_SITE:
            return None
        try:
            return self.language_model.sites.final_norm
        except NotApplicableError:
            return None


def _has_layer_norm(language_model: LanguageModel) -> bool:
    try:
        norm = language_model.sites.final_norm
    except NotApplicableError:
        return False
    return norm is not None and norm.kind == "LayerNorm"


@dataclass(frozen=True)
class Passed:
    """What a forward pass left behind."""

    at_site: Tensor
    """[n_examples, n_ctx, d_in]."""
    before_norm: Tensor | None
    """[n_examples, n_ctx, d_model], where there is a final norm."""
    norm: FinalNorm | None


def _means(x: Tensor, is_row: Tensor) -> Array:
    """Mean over each example's rows, in float64 on the way; float32 [n_examples, d_in]."""
    weights = is_row.double()
    sums = torch.einsum("bpd,bp->bd", x.double(), weights)
    means: Array = (sums / weights.sum(dim=1, keepdim=True).clamp(min=1)).float().cpu().numpy()
    return means


def _unit_effect(encoded: Encoded, passed: Passed, is_row: Tensor) -> Array:
    scale = encoded.normalized.scale
    if scale is None and passed.norm is None:
        return np.zeros(2)
    n_rows = len(encoded.acts.counts)
    effect = torch.ones(n_rows, dtype=torch.float64, device=is_row.device)
    if scale is not None:
        effect = effect * scale.squeeze(1)
    if passed.norm is not None and passed.before_norm is not None:
        effect = effect * passed.norm.inverse_sigma(passed.before_norm[is_row])
    return np.array([float(effect.sum()), n_rows], dtype=np.float64)


def _in_order(parts: list[EncodedRows], n_examples: int, d_in: int) -> EncodedRows:
    """The rows of all batches, put back into the order of the examples."""
    empty = np.zeros(0, dtype=np.int64)

    def joined(name: str) -> Array:
        return np.concatenate([empty, *(getattr(part, name) for part in parts)])

    example, counts = joined("example").astype(np.int64), joined("counts").astype(np.int64)
    means = np.zeros((n_examples, d_in))
    # Positions ascend within each example already, and an example lies in one batch.
    order = np.argsort(example, kind="stable")
    starts = np.cumsum(counts) - counts
    kept = counts[order]
    source = np.repeat(starts[order] - (np.cumsum(kept) - kept), kept) + np.arange(kept.sum())
    for part in parts:
        means[part.examples] = part.example_means
    return EncodedRows(
        example=example[order],
        position=joined("position").astype(np.int64)[order],
        counts=kept,
        features=joined("features").astype(np.int64)[source],
        acts=joined("acts").astype(np.float32)[source],
        examples=np.arange(n_examples),
        example_means=means.astype(np.float32),
        unit_effect=np.sum([np.zeros(2), *(part.unit_effect for part in parts)], axis=0),
    )

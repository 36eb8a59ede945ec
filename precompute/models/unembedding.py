"""The effective unembedding: what one unit along each residual direction adds to each logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import NotApplicableError
from precompute.models.final_norm import FinalNorm
from precompute.models.preflight import EMBED_SITE, FINAL_SITE
from precompute.models.sites import Site, SiteMap

if TYPE_CHECKING:
    from precompute.models.encoding import SAEReader

TOLERANCE = 0.02
"""Relative; how well the logits must follow the output layer's weights (bfloat16 included)."""


@dataclass(frozen=True)
class EffectiveUnembedding:
    """What takes a decoder direction to its direct effect on the logits."""

    matrix: NDArray[np.float32]
    """[d_model, d_vocab], in logits per unit of activation."""
    norm: str | None
    """The kind of the norm on the way; None where there is none."""


def effective_unembedding(reader: SAEReader, s: float) -> EffectiveUnembedding:
    """s * ((w - its mean, for LayerNorm) * gain) W_U as a matrix on w, after DESIGN 4.3.

    Output projections and logit multipliers are in it, softcaps are not. Raises NotApplicableError where a
    direction has no such effect.
    """
    sites = reader.language_model.sites
    matrix, norm = output_matrix(sites), sites.final_norm
    if reader.site.hook_name == FINAL_SITE:
        # Past centering and sigma already: only the gain lies between the site and the output layer.
        gain = 1 if norm is None else norm.gain.unsqueeze(1)
        return EffectiveUnembedding(_numpy(matrix * gain * s), None)
    check_residual(sites, reader.site)
    if norm is not None:
        matrix = through_norm(matrix, norm)
    return EffectiveUnembedding(_numpy(matrix * s), norm.kind if norm is not None else None)


def _numpy(matrix: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = matrix.contiguous().cpu().numpy()
    return array


def output_matrix(sites: SiteMap) -> Tensor:
    """Takes vectors after the final norm to logits, but for softcap and bias; float32 [d_model, d_vocab].

    Output projections and logit multipliers are in it. Raises NotApplicableError where the model has no
    output layer, or one that is not a matrix product of its weights.
    """
    head = sites.model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        raise NotApplicableError("the model has no output layer over a vocabulary")
    matrix: Tensor = head.weight.detach().float().T
    projection = getattr(sites.parent, "project_out", None)
    if projection is not None:
        matrix = projection.weight.detach().float().T @ matrix
    if matrix.shape[0] != sites.layers_width:
        raise NotApplicableError("the output layer does not read the residual stream's width")
    return matrix * _multiplier(sites, matrix)


def through_norm(matrix: Tensor, norm: FinalNorm) -> Tensor:
    """The output matrix as seen before the final norm, but for 1/sigma; float32 [d_model, d_vocab].

    ((w - mean(w)) * gain) @ matrix = w @ (gain * matrix - its mean over rows): LayerNorm's centering is
    moved from the direction into the matrix.
    """
    scaled = matrix * norm.gain.unsqueeze(1)
    if norm.kind == "LayerNorm":
        scaled -= scaled.mean(dim=0, keepdim=True, dtype=torch.float64).float()
    return scaled


def _multiplier(sites: SiteMap, matrix: Tensor) -> float:
    """The factor between the matrix product and the logits, measured, and found in the configuration."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(matrix.shape[0], generator=generator).to(matrix.device) / matrix.norm(dim=0).mean()
    expected = vector @ matrix
    found = _logits_of(sites, vector) - _logits_of(sites, torch.zeros_like(vector))
    factor = float((found @ expected) / (expected @ expected))
    if not bool((found - factor * expected).norm() <= TOLERANCE * found.norm()):
        raise NotApplicableError("the model's logits are no matrix product of its output layer's weights")
    declared = min(_declared(sites.model.config.get_text_config()), key=lambda value: abs(value - factor))
    if abs(declared - factor) > TOLERANCE * abs(factor):
        raise NotApplicableError(f"the model scales its logits by {factor:.4g}, which nothing declares")
    return declared


def _declared(config: Any) -> list[float]:
    """Factors that configurations declare (Cohere, Granite, Falcon-H1, MiniCPM), and 1."""
    declared = [1.0]
    for name in ("logit_scale", "lm_head_multiplier"):
        declared += [float(getattr(config, name))] if getattr(config, name, None) else []
    if getattr(config, "logits_scaling", None):
        declared.append(1 / float(config.logits_scaling))
    if getattr(config, "dim_model_base", None):
        declared.append(float(config.dim_model_base) / float(config.hidden_size))
    return declared


def _logits_of(sites: SiteMap, vector: Tensor) -> Tensor:
    """Logits when this vector leaves the final norm, any softcap undone; float32 [d_vocab]."""
    token_ids = sites.probe_tokens()[:1, :2]
    handle = sites.last.replace(lambda value: vector.to(value.dtype).expand_as(value))
    try:
        with torch.no_grad():
            output = sites.model(
                input_ids=token_ids, attention_mask=torch.ones_like(token_ids), use_cache=False
            )
    finally:
        handle.remove()
    logits: Tensor = output.logits[0, -1].float()
    cap = getattr(sites.model.config.get_text_config(), "final_logit_softcapping", None)
    return cap * torch.atanh((logits / cap).clamp(-0.999999, 0.999999)) if cap else logits


def check_residual(sites: SiteMap, site: Site) -> None:
    """Raise NotApplicableError where what is added at a site does not reach the residual stream as it is.

    Of all sites that can be captured this can only befall the embedding: some models project, scale or
    normalise it first. There, the difference of two embeddings must be that of the first layer's inputs.
    """
    if site.hook_name != EMBED_SITE:
        return
    first = Site("resid_pre", sites.layers[0], "input")
    seen = sites.observe({"embed": site, "resid_pre": first}, sites.probe_tokens())
    embed, residual = (value[0, 0] - value[1, 0] for value in (seen["embed"], seen["resid_pre"]))
    if embed.shape != residual.shape or bool((embed - residual).norm() > TOLERANCE * residual.norm()):
        raise NotApplicableError("the model changes its embeddings before they enter the residual stream")

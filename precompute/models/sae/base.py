"""What every SAE does, whatever its architecture: encode to sparse activations, decode, name directions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from precompute.models.sae.header import SAEHeader

BLOCK_BYTES = 32 * 2**20
"""Dense pre-activations held at once; about what stays in a shared cache."""
LAYER_NORM_EPS = 1e-5
"""Added to the standard deviation by SAELens (sae_lens/saes/sae.py, run_time_activation_ln_in)."""


@dataclass(frozen=True)
class Normalized:
    """Inputs of an SAE in its own units, and the way back: x = values * scale + shift."""

    values: Tensor
    """float32 [n_rows, d_in]."""
    scale: Tensor | None = None
    """float32 [n_rows, 1]; None is 1."""
    shift: Tensor | None = None
    """float32 [n_rows, 1]; None is 0."""


@dataclass(frozen=True)
class SparseActs:
    """The non-zero activations of some rows, features ascending within each."""

    counts: Tensor
    """int64 [n_rows]: non-zeros of each row."""
    features: Tensor
    """int64 [n_nonzero]."""
    acts: Tensor
    """float32 [n_nonzero], all of them positive."""

    @property
    def offsets(self) -> Tensor:
        """int64 [n_rows]: where each row begins."""
        return self.counts.cumsum(0) - self.counts

    @staticmethod
    def joined(parts: list[SparseActs]) -> SparseActs:
        """Rows of several blocks, one after another."""
        return SparseActs(
            torch.cat([part.counts for part in parts]),
            torch.cat([part.features for part in parts]),
            torch.cat([part.acts for part in parts]),
        )


@dataclass(frozen=True)
class Encoded:
    """What an SAE makes of some rows."""

    acts: SparseActs
    """Activations in the SAE's own units."""
    normalized: Normalized
    """The rows as the SAE read them; its `scale` and `shift` take a reconstruction back."""


class SAE(ABC):
    """A sparse autoencoder in float32; the contract that every architecture keeps."""

    def __init__(self, header: SAEHeader, weights: Mapping[str, Tensor], device: str = "cpu") -> None:
        self.header = header
        self.weights = {name: weights[name].to(device) for name in header.shapes()}
        self.W_enc, self.W_dec = self.weights["W_enc"].contiguous(), self.weights["W_dec"].contiguous()
        self.b_dec = self.weights["b_dec"]
        self.centers = header.center_activations

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.header.d_sae

    @property
    def rows_per_block(self) -> int:
        """Rows whose dense pre-activations are held at once; depends on nothing but d_sae."""
        return max(16, BLOCK_BYTES // (4 * self.d_sae))

    def encode(self, x: Tensor, advance: Callable[[int], None] = lambda _: None) -> Encoded:
        """Sparse activations of x, float32 [n_rows, d_in]; `advance` is told the rows of each block done."""
        normalized = self.normalize(x)
        blocks = []
        for block in torch.split(self._centered(normalized.values), self.rows_per_block):
            blocks.append(self._select(block))
            advance(len(block))
        return Encoded(SparseActs.joined(blocks), normalized)

    def encode_dense(self, x: Tensor) -> Tensor:
        """Activations of x, zeros included; float32 [n_rows, d_sae]."""
        acts = self.encode(x).acts
        rows = torch.repeat_interleave(torch.arange(len(x), device=x.device), acts.counts)
        dense = torch.zeros(len(x), self.d_sae, device=x.device)
        dense[rows, acts.features] = acts.acts
        return dense

    def decode(self, encoded: Encoded) -> Tensor:
        """Reconstruction in the units of the input; float32 [n_rows, d_in]."""
        acts, normalized = encoded.acts, encoded.normalized
        # embedding_bag sums weighted rows of a table: the sparse product without a sparse tensor.
        x_hat = torch.nn.functional.embedding_bag(
            acts.features, self.decoder_directions(), acts.offsets, mode="sum", per_sample_weights=acts.acts
        )
        x_hat = x_hat + self.b_dec
        if normalized.scale is not None:
            x_hat = x_hat * normalized.scale
        return x_hat if normalized.shift is None else x_hat + normalized.shift

    def decoder_directions(self) -> Tensor:
        """What one unit of each feature adds before a row's own scale; float32 [d_sae, d_in]."""
        return self.W_dec

    def normalize(self, x: Tensor) -> Normalized:
        """The input as the SAE was trained on it.

        As SAELens does at run time: `expected_average_only_in` is folded into the weights when an SAE is
        saved, so it changes nothing here; layer_norm takes the sample standard deviation (ddof 1).
        """
        if not self.centers:
            return self._normalize(x)
        mean = x.mean(dim=-1, keepdim=True)
        inner = self._normalize(x - mean)
        return Normalized(inner.values, inner.scale, mean if inner.shift is None else mean + inner.shift)

    def _normalize(self, x: Tensor) -> Normalized:
        kind = self.header.normalize_activations
        if kind == "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / self.header.d_in**0.5
            return Normalized(x / scale, scale)
        if kind == "layer_norm":
            mean = x.mean(dim=-1, keepdim=True)
            std = (x - mean).std(dim=-1, keepdim=True)
            return Normalized((x - mean) / (std + LAYER_NORM_EPS), std, mean)
        return Normalized(x)

    def _centered(self, values: Tensor) -> Tensor:
        return values - self.b_dec if self.header.apply_b_dec_to_input else values

    @abstractmethod
    def _select(self, inputs: Tensor) -> SparseActs:
        """Non-zero activations of a block of inputs, normalised and centred; float32 [n_rows, d_in]."""
        ...


def nonzero(acts: Tensor) -> SparseActs:
    """The non-zeros of dense activations; float32 [n_rows, d_sae]."""
    rows, features = acts.nonzero(as_tuple=True)
    return SparseActs(torch.bincount(rows, minlength=len(acts)), features, acts[rows, features])

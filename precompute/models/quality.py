"""How much of a model's activations and predictions an SAE keeps, by splicing it into the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from precompute.models.batching import Batch, batches, suited_to
from precompute.models.encoding import SAEReader
from precompute.models.shortcut import layers_before, left_out

Array = NDArray[Any]
DENSE_SHARE = 0.1
"""A feature that fires on a larger share of the rows is dense."""
LOGITS_IN_MEMORY = 2**27
"""Logits held at once, whatever batch size is asked for."""
SAME_LOSS = 1e-3
"""Relative; how well a pass without the layers before the site must repeat the loss."""
N_PASSES = 4
"""Forward passes over each row: the model, the SAE, zero and mean ablation."""


@dataclass(frozen=True)
class Quality:
    """Figures of an SAE; cross-entropies (CE) in nats, over every text token that has one before it."""

    n_rows: int
    """Rows evaluated: token positions that are not special."""
    n_predictions: int
    """Tokens predicted."""
    l0: float
    """Features that fire on a row, on average."""
    fvu: float | None
    """Fraction of variance unexplained, sum |x - x_hat|^2 / sum |x - mean|^2; None without variance."""
    cosine: float
    """Of x and x_hat, on average."""
    ce_model: float | None
    """CE of the model itself; None where nothing is predicted."""
    ce_sae: float | None
    """CE with x_hat in the place of x, special positions left alone."""
    ce_zero: float | None
    """CE with zeros there."""
    ce_mean: float | None
    """CE with the mean of the evaluated rows there."""
    recovered: float | None
    """(ce_zero - ce_sae) / (ce_zero - ce_model); None where zeros cost nothing."""
    delta_ce: float | None
    """ce_sae - ce_model."""
    dead_share: float
    """Share of the features that fire on none of the evaluated rows."""
    dense_share: float
    """Share that fires on more than a tenth of them."""


@dataclass
class _Sums:
    """What is added up over batches."""

    d_sae: int
    n_predictions: int = 0
    squared_error: float = 0.0
    cosine: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    fired: Array = field(init=False)

    def __post_init__(self) -> None:
        self.fired = np.zeros(self.d_sae, dtype=np.int64)

    def add_loss(self, name: str, loss: float) -> None:
        self.losses[name] = self.losses.get(name, 0.0) + loss


@dataclass(frozen=True)
class _Spliced:
    """A batch on the device, with its rows marked."""

    token_ids: Tensor
    mask: Tensor
    is_row: Tensor
    """bool [n_examples, n_ctx]."""
    is_target: Tensor
    """bool [n_examples, n_ctx - 1]: which next tokens are predicted."""


@dataclass(frozen=True)
class _Seen:
    """What the model itself did with a batch."""

    at_site: Tensor
    """[n_examples, n_ctx, d_in], on the CPU: every position, so that layers before can be left out."""
    x: Tensor
    """float32 [n_rows, d_in]: the rows among them."""
    loss: float


def measure(
    reader: SAEReader,
    examples: Sequence[Sequence[int]],
    n_special: Sequence[int],
    batch_size: int | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Quality:
    """Measure an SAE on some examples; `advance` is told rows, each N_PASSES times."""
    skip = np.asarray(n_special, dtype=np.int64)
    size = _batch_size(reader, examples, batch_size)
    parts = [_marked(reader, batch, skip[batch.examples]) for batch in batches(examples, size)]
    sums = _Sums(reader.sae.d_sae)
    with torch.inference_mode():
        seen = [_observe(reader, part, sums, advance) for part in parts]
        mean = torch.cat([one.x for one in seen]).double().mean(dim=0)
        variance = sum(float((one.x.double() - mean).square().sum()) for one in seen)
        needless = _needless_layers(reader, parts[0], seen[0])
        for part, one in zip(parts, seen, strict=True):
            x_hat = _reconstruct(reader, one.x.to(reader.language_model.device), sums, advance)
            replaced = {"sae": x_hat, "zero": torch.zeros_like(x_hat)}
            replaced["mean"] = mean.float().to(x_hat.device).expand_as(x_hat)
            for name, values in replaced.items():
                sums.add_loss(name, _loss(reader, part, one, values, needless))
                advance(len(values))
    return _quality(sums, sum(len(one.x) for one in seen), variance)


def _batch_size(reader: SAEReader, examples: Sequence[Sequence[int]], batch_size: int | None) -> int:
    batch_size = batch_size or suited_to(reader.language_model.device)
    d_vocab = int(reader.language_model.config.vocab_size)
    n_ctx = max((len(example) for example in examples), default=1)
    return max(1, min(batch_size, LOGITS_IN_MEMORY // max(1, n_ctx * d_vocab)))


def _marked(reader: SAEReader, batch: Batch, n_special: Array) -> _Spliced:
    device = reader.language_model.device
    is_row = (batch.mask > 0) & (np.arange(batch.mask.shape[1]) >= n_special[:, None])
    rows = torch.from_numpy(is_row).to(device)
    return _Spliced(
        torch.from_numpy(batch.token_ids).to(device),
        torch.from_numpy(batch.mask).to(device),
        is_row=rows,
        is_target=rows[:, 1:],
    )


def _observe(reader: SAEReader, part: _Spliced, sums: _Sums, advance: Callable[[int], None]) -> _Seen:
    values: list[Tensor] = []
    handle = reader.site.read(values.append)
    try:
        loss = _next_token_loss(reader, part)
    finally:
        handle.remove()
    sums.add_loss("model", loss)
    sums.n_predictions += int(part.is_target.sum())
    x = values[0][part.is_row].float().cpu()
    advance(len(x))
    return _Seen(values[0].cpu(), x, loss)


def _needless_layers(reader: SAEReader, part: _Spliced, seen: _Seen) -> list[nn.Module]:
    """Layers that can be left out in spliced passes, if putting back what was seen gives the loss seen."""
    layers = layers_before(reader.language_model.sites, reader.site)
    again = _loss(reader, part, seen, seen.x.to(part.mask.device), layers)
    return layers if abs(again - seen.loss) <= SAME_LOSS * abs(seen.loss) else []


def _reconstruct(reader: SAEReader, x: Tensor, sums: _Sums, advance: Callable[[int], None]) -> Tensor:
    # No pass is done yet; telling of none lets a cancelled step stop here.
    encoded = reader.sae.encode(x, lambda _: advance(0))
    x_hat = reader.sae.decode(encoded)
    features = encoded.acts.features.cpu().numpy()
    sums.fired += np.bincount(features, minlength=sums.d_sae)
    sums.squared_error += float((x - x_hat).double().square().sum())
    sums.cosine += float(torch.nn.functional.cosine_similarity(x.double(), x_hat.double()).sum())
    return x_hat


def _loss(reader: SAEReader, part: _Spliced, seen: _Seen, values: Tensor, needless: list[nn.Module]) -> float:
    """Summed loss with these values in the place of the rows' activations; other positions are as seen."""

    def change(value: Tensor) -> Tensor:
        changed = seen.at_site.to(value.device, value.dtype, copy=True)
        changed[part.is_row] = values.to(value.dtype)
        return changed

    handle = reader.site.replace(change)
    try:
        with left_out(needless):
            return _next_token_loss(reader, part)
    finally:
        handle.remove()


def _next_token_loss(reader: SAEReader, part: _Spliced) -> float:
    logits = reader.language_model.logits(part.token_ids, part.mask)[:, :-1][part.is_target]
    targets = part.token_ids[:, 1:][part.is_target]
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return float(losses.double().sum())


def _quality(sums: _Sums, n_rows: int, variance: float) -> Quality:
    n = sums.n_predictions
    ce = {name: loss / n if n else None for name, loss in sums.losses.items()}
    model, sae, zero = ce["model"], ce["sae"], ce["zero"]
    known = model is not None and sae is not None and zero is not None
    return Quality(
        n_rows=n_rows,
        n_predictions=n,
        l0=float(sums.fired.sum()) / n_rows,
        fvu=sums.squared_error / variance if variance > 0 else None,
        cosine=sums.cosine / n_rows,
        ce_model=model,
        ce_sae=sae,
        ce_zero=zero,
        ce_mean=ce["mean"],
        recovered=(zero - sae) / (zero - model) if known and zero != model else None,  # type: ignore[operator]
        delta_ce=sae - model if known else None,  # type: ignore[operator]
        dead_share=float(np.mean(sums.fired == 0)),
        dense_share=float(np.mean(sums.fired > DENSE_SHARE * n_rows)),
    )

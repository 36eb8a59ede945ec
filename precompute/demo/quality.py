"""How good the demo's SAEs are, on held-out rows: reconstruction, loss recovered, dead latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from precompute.demo.activations import LAYER, site_activations, truncated
from precompute.demo.language_model import load_model, token_losses
from precompute.demo.sae_export import TopKSAE
from precompute.demo.sparse_kernels import top_k
from precompute.demo.token_rows import IGNORED, Rows, by_length, trimmed

DENSE = 0.1
"""A latent active on a larger part of the rows is dense."""


@dataclass(frozen=True)
class SAEQuality:
    """The figures of one SAE."""

    n_rows: int
    """Text positions looked at."""
    L0: float
    """Mean active latents of a row."""
    FVU: float
    """Fraction of variance unexplained: sum |x - x_hat|^2 / sum |x - mean|^2."""
    cosine: float
    """Mean cosine of x and x_hat."""
    ce_model: float
    """Loss of the model in nats a token."""
    ce_sae: float
    """Loss with the reconstruction in place of the activations; special positions are left alone."""
    ce_zero: float
    """Loss with zeros in their place."""
    ce_mean: float
    """Loss with their mean in their place."""
    recovered: float
    """(ce_zero - ce_sae) / (ce_zero - ce_model)."""
    delta_ce: float
    """ce_sae - ce_model, in nats."""
    dead: float
    """Part of the latents that are active on no row."""
    dense: int
    """Latents active on more than a tenth of the rows."""

    def as_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class SplitModel:
    """The language model in two parts, so that what stands between them can be replaced."""

    prefix: Any
    """Token ids to activations at the site."""
    tail: Any
    """Activations at the site to logits."""

    @torch.no_grad()
    def losses(self, site: Tensor, rows: Tensor) -> float:
        """Return the summed loss in nats when the tail sees `site` (n_rows, n_ctx, d_in)."""
        logits = self.tail(inputs_embeds=site, use_cache=False).logits
        return float(token_losses(logits, rows).double().sum())


def split_model(directory: Path) -> SplitModel:
    """Load the model and cut it at the site."""
    tail = load_model(directory)
    tail.model.layers = tail.model.layers[LAYER + 1 :]
    return SplitModel(truncated(load_model(directory)), tail)


@dataclass(frozen=True)
class Batch:
    """Some rows of the held-out texts, as the model sees them."""

    rows: Tensor
    """Token ids (n_rows, n_ctx), `IGNORED` at the end of short rows."""
    site: Tensor
    """Activations at the site (n_rows, n_ctx, d_in)."""
    used: Tensor
    """Which positions are text (n_rows, n_ctx)."""


@dataclass
class Sums:
    """Running sums of one SAE over batches."""

    fired: npt.NDArray[np.int64]
    """Rows on which each latent is active (d_sae,)."""
    squared_error: float = 0.0
    """Sum of |x - x_hat|^2."""
    cosine: float = 0.0
    """Sum of cosines."""
    loss: float = 0.0
    """Sum of losses with the reconstruction."""


@dataclass
class SiteSums:
    """Running sums that belong to the model alone."""

    mean: Tensor
    """Mean activation (d_in,), of the mean ablation."""
    n_rows: int = 0
    """Text positions so far."""
    squares: float = 0.0
    """Sum of |x|^2."""
    total: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    """Sum of x (d_in,)."""
    losses: dict[str, float] = field(default_factory=lambda: {"model": 0.0, "zero": 0.0, "mean": 0.0})
    """Sums of losses: as it is, with zeros, with the mean."""

    @property
    def variance(self) -> float:
        """Sum of |x - mean|^2."""
        return self.squares - float(self.total.square().sum()) / self.n_rows


def reconstruct(sae: TopKSAE, x: Tensor) -> tuple[npt.NDArray[np.int32], Tensor, Tensor]:
    """Return (latents, acts, x_hat) of rows x (n_rows, d_in): indices and values (n_rows, k)."""
    scores = torch.addmm(
        torch.from_numpy(sae.b_enc), x - torch.from_numpy(sae.b_dec), torch.from_numpy(sae.W_enc)
    )
    chosen = top_k(scores.numpy(), sae.k)
    indices = torch.from_numpy(chosen.astype(np.int64))
    acts = torch.relu(scores.gather(1, indices))
    summed = torch.nn.functional.embedding_bag(
        indices, torch.from_numpy(sae.W_dec), per_sample_weights=acts, mode="sum"
    )
    return chosen, acts, summed + torch.from_numpy(sae.b_dec)


@torch.no_grad()
def measure(
    model: SplitModel, saes: Mapping[str, TopKSAE], rows: Rows, mean: Tensor, batch_size: int = 32
) -> dict[str, SAEQuality]:
    """Measure SAEs on the same held-out rows (n_rows, n_ctx); `mean` is of the training activations."""
    site_sums = SiteSums(mean)
    sums = {name: Sums(np.zeros(sae.W_enc.shape[1], dtype=np.int64)) for name, sae in saes.items()}
    rows = by_length(rows)
    for first in range(0, len(rows), batch_size):
        batch = _batch(model, rows[first : first + batch_size])
        _add_site(site_sums, model, batch)
        for name, sae in saes.items():
            _add_sae(sums[name], sae, model, batch)
    n_targets = int(np.count_nonzero(rows[:, 1:] != IGNORED))
    return {name: _quality(sums[name], site_sums, n_targets) for name in saes}


def _batch(model: SplitModel, rows: Rows) -> Batch:
    """Run the model up to the site on some rows."""
    tokens = torch.from_numpy(trimmed(rows))
    used = tokens != IGNORED
    used[:, 0] = False
    return Batch(tokens, site_activations(model.prefix, tokens), used)


def _add_site(sums: SiteSums, model: SplitModel, batch: Batch) -> None:
    """Add one batch to the model's own sums."""
    x = batch.site[batch.used].double()
    sums.n_rows += len(x)
    sums.squares += float(x.square().sum())
    sums.total = sums.total + x.sum(0)
    sums.losses["model"] += model.losses(batch.site, batch.rows)
    for name, value in {"zero": torch.zeros_like(sums.mean), "mean": sums.mean}.items():
        replaced = torch.where(batch.used[..., None], value, batch.site)
        sums.losses[name] += model.losses(replaced, batch.rows)


def _add_sae(sums: Sums, sae: TopKSAE, model: SplitModel, batch: Batch) -> None:
    """Add one batch to an SAE's sums."""
    x = batch.site[batch.used]
    chosen, acts, x_hat = reconstruct(sae, x)
    sums.fired += np.bincount(chosen[acts.numpy() > 0], minlength=len(sums.fired))
    sums.squared_error += float((x - x_hat).double().square().sum())
    sums.cosine += float(torch.nn.functional.cosine_similarity(x, x_hat).double().sum())
    spliced = batch.site.clone()
    spliced[batch.used] = x_hat
    sums.loss += model.losses(spliced, batch.rows)


def _quality(sums: Sums, site: SiteSums, n_targets: int) -> SAEQuality:
    """Turn sums into figures."""
    model, zero, mean = (site.losses[name] / n_targets for name in ("model", "zero", "mean"))
    spliced = sums.loss / n_targets
    return SAEQuality(
        n_rows=site.n_rows,
        L0=float(sums.fired.sum()) / site.n_rows,
        FVU=sums.squared_error / site.variance,
        cosine=sums.cosine / site.n_rows,
        ce_model=model,
        ce_sae=spliced,
        ce_zero=zero,
        ce_mean=mean,
        recovered=(zero - spliced) / (zero - model),
        delta_ce=spliced - model,
        dead=float(np.mean(sums.fired == 0)),
        dense=int(np.count_nonzero(sums.fired > DENSE * site.n_rows)),
    )


def sample_texts(directory: Path, tokenizer: Any, prompts: Sequence[str], n_tokens: int) -> list[str]:
    """Return one seeded continuation of each prompt (temperature 0.8, top-p 0.95)."""
    model, texts = load_model(directory), []
    torch.manual_seed(0)
    for prompt in prompts:
        ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
        inputs = torch.tensor([ids])
        found = model.generate(
            inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=n_tokens, do_sample=True,
            temperature=0.8, top_p=0.95,
        )  # fmt: skip
        texts.append(str(tokenizer.decode(found[0, 1:], skip_special_tokens=True)))
    return texts

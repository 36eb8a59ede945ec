"""The next token of each row: the likeliest, or drawn with temperature and top-p; near ties are told."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import pad

from precompute.errors import UsageError
from precompute.extraction.noise import gumbel

NEAR = 1e-4
"""Scores, or shares of probability, that differ by less may come out the other way round in another batch."""
FEW = 32
"""Candidates that are looked at first; a sharp distribution has no more."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """The least number of likeliest tokens that reach this share of the probability may be drawn."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise UsageError(f"--temperature {self.temperature}", "0 to 100", "give another")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p}", "above 0 and at most 1", "give another")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"--seed {self.seed}", "a whole number from 0 to 2^64 - 1", "give another")


@dataclass(frozen=True)
class Chosen:
    """The next token of each row."""

    token_ids: Int64[Tensor, " n"]
    is_near_tie: Bool[Tensor, " n"]
    """Whether rounding might choose another."""


def choose(
    logits: Float[Tensor, "n d_vocab"],
    sampling: Sampling,
    examples: Int64[Tensor, " n"],
    steps: Int64[Tensor, " n"],
) -> Chosen:
    """The next tokens; the draw of an example at a step is the same in every batch."""
    if sampling.temperature == 0:
        best = logits.topk(2, dim=-1)
        return Chosen(best.indices[:, 0], best.values[:, 0] - best.values[:, 1] < NEAR)
    scaled = logits / sampling.temperature
    found = _candidates(scaled, sampling.top_p)
    scores = found.values.double() + gumbel(sampling.seed, examples, steps, found.token_ids)
    best = _best(scores, found.kept)
    widest = _best(scores, found.perhaps)
    surest = _best(scores, found.surely)
    gap = widest.values[:, 0] - widest.values[:, 1]
    wavers = widest.indices[:, 0] != surest.indices[:, 0]
    return Chosen(found.token_ids.gather(1, best.indices[:, :1]).squeeze(1), wavers | (gap < NEAR))


@dataclass(frozen=True)
class _Candidates:
    """The likeliest tokens of each row, likeliest first."""

    values: Float[Tensor, "n k"]
    token_ids: Int64[Tensor, "n k"]
    kept: Bool[Tensor, "n k"]
    """Those that top-p lets in."""
    perhaps: Bool[Tensor, "n k"]
    """Those that it lets in where rounding goes their way."""
    surely: Bool[Tensor, "n k"]
    """Those that it lets in however rounding goes."""


def _candidates(scaled: Float[Tensor, "n d_vocab"], top_p: float) -> _Candidates:
    d_vocab = scaled.shape[1]
    if top_p == 1:
        every = torch.ones_like(scaled, dtype=torch.bool)
        return _Candidates(
            scaled, torch.arange(d_vocab, device=scaled.device).expand_as(scaled), *[every] * 3
        )
    top = _likeliest(scaled, top_p)
    reached = top.shares.cumsum(dim=-1)
    before, values = reached - top.shares, top.values
    kept, perhaps, surely = before < top_p, before < top_p + NEAR, before < top_p - NEAR
    # A token as likely, but for rounding, as one on the other side of the border may change places with it.
    lowest = values.masked_fill(~perhaps, torch.inf).min(dim=-1, keepdim=True).values
    highest_out = values.masked_fill(surely, -torch.inf).max(dim=-1, keepdim=True).values
    perhaps = perhaps | (lowest - values < NEAR)
    surely = surely & (values - highest_out >= NEAR)
    surely[:, 0] = True
    kept[:, 0] = True
    return _Candidates(values, top.token_ids, kept, perhaps, surely)


@dataclass(frozen=True)
class _Likeliest:
    """As many of the likeliest tokens as any row needs, likeliest first."""

    values: Float[Tensor, "n k"]
    """-inf past what a row needs."""
    token_ids: Int64[Tensor, "n k"]
    shares: Float64[Tensor, "n k"]


def _likeliest(scaled: Float[Tensor, "n d_vocab"], top_p: float) -> _Likeliest:
    """Few of each row, and more where these do not reach top_p: sorting more of every row takes longer than
    the rest of a draw together."""
    every_share, d_vocab = scaled.softmax(dim=-1), scaled.shape[1]
    k = min(FEW, d_vocab)
    values, token_ids = scaled.topk(k, dim=-1)
    shares = every_share.gather(1, token_ids).double()
    short = torch.arange(len(scaled), device=scaled.device)
    while k < d_vocab:
        lacking = shares[short, :-1].sum(dim=-1) < top_p + NEAR
        if not bool(lacking.any()):
            break
        short, k = short[lacking], min(8 * k, d_vocab)
        more = scaled[short].topk(k, dim=-1)
        room = (0, k - values.shape[1])
        values = pad(values, room, value=-torch.inf).index_put((short,), more.values)
        token_ids = pad(token_ids, room).index_put((short,), more.indices)
        shares = pad(shares, room).index_put((short,), every_share[short].gather(1, more.indices).double())
    return _Likeliest(values, token_ids, shares)


def _best(scores: Float64[Tensor, "n k"], allowed: Bool[Tensor, "n k"]) -> torch.return_types.topk:
    return scores.masked_fill(~allowed, -torch.inf).topk(2, dim=-1)

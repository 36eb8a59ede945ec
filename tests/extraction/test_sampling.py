"""Draws: what determines them, the distribution that comes out, ties that rounding could turn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from precompute.errors import UsageError
from precompute.extraction.noise import gumbel
from precompute.extraction.positions import parse_rule
from precompute.extraction.sampling import Sampling, choose


def test_noise_is_a_function_of_seed_example_step_and_token_alone() -> None:
    examples, steps = torch.tensor([7, 2**40 + 7]), torch.tensor([3, 4])
    tokens = torch.arange(50).expand(2, 50)
    both = gumbel(1, examples, steps, tokens)
    assert torch.equal(gumbel(1, examples[1:], steps[1:], tokens[1:, 10:20]), both[1:, 10:20])
    others = [gumbel(2, examples, steps, tokens), gumbel(1, examples, steps + 1, tokens)]
    others.append(gumbel(1, examples + 1, steps, tokens))
    assert all((other != both).all() for other in others)
    many = gumbel(
        0, torch.arange(300), torch.zeros(300, dtype=torch.int64), torch.arange(300).expand(300, 300)
    )
    assert abs(float(many.mean()) - 0.57722) < 0.01
    assert abs(float(many.var()) - np.pi**2 / 6) < 0.03


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (0.8, 0.7)])
def test_tokens_are_drawn_as_often_as_they_should_be(temperature: float, top_p: float) -> None:
    logits, n = torch.tensor([1.0, 0.3, -0.5, 2.0, 0.0]), 40_000
    weights = np.exp(logits.numpy().astype(np.float64) / temperature)
    expected = weights / weights.sum()
    order = np.argsort(-expected)
    before = np.concatenate([[0], np.cumsum(expected[order])[:-1]])
    expected[order[before >= top_p]] = 0
    expected /= expected.sum()
    steps = torch.zeros(n, dtype=torch.int64)
    drawn = choose(logits.expand(n, 5), Sampling(temperature, top_p, 9), torch.arange(n), steps)
    found = np.bincount(drawn.token_ids.numpy(), minlength=5) / n
    assert (found[expected == 0] == 0).all()
    assert np.abs(found - expected).max() < 4 * 0.5 / np.sqrt(n)


def test_rounding_turns_only_draws_that_were_told() -> None:
    """Perturbed logits give the same token wherever no near tie is told; ties, of every kind, are told."""
    draw = torch.Generator().manual_seed(0)
    n, d_vocab = 2_000, 200
    logits = torch.randn(n, d_vocab, generator=draw) * 3
    logits[: n // 2] = (logits[: n // 2] * 4).round() / 4
    other = logits + 2e-5 * (2 * torch.rand(n, d_vocab, generator=draw) - 1)
    steps = torch.zeros(n, dtype=torch.int64)
    n_turned = 0
    for sampling in (Sampling(), Sampling(0.7, 0.9, 1), Sampling(1.0, 0.5, 2), Sampling(1.0, 1.0, 3)):
        first, second = (choose(x, sampling, torch.arange(n), steps) for x in (logits, other))
        turned = first.token_ids != second.token_ids
        n_turned += int(turned.sum())
        assert not bool((turned & ~first.is_near_tie).any())
        assert float(first.is_near_tie[n // 2 :].float().mean()) < 0.02
    assert n_turned > 0


@pytest.mark.parametrize(
    "given", [{"temperature": -1}, {"temperature": 2, "top_p": 0}, {"top_p": 1.5}, {"seed": -1}]
)
def test_draws_that_make_no_sense_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Sampling(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["response", "response[]", "answer[:]", "response[1:-1]", "response[-3:-1]", "prompt[a]"]
)
def test_rules_that_cannot_be_followed_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="position rule"):
        parse_rule(text)

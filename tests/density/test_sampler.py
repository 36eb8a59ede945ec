"""Drawing by weight: frequencies by chi-square, ranks, resuming, and more rows than float32 can count."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from precompute.density import DensitySampler
from precompute.density import sampler as module
from precompute.errors import ArtifactMissingError, UsageError
from tests.density.made_parts import computed, drawn

WEIGHTS = np.random.default_rng(0).dirichlet(np.full(40, 0.7)).astype(np.float32)


def make(num_samples: int = 1000, rank: int = 0, world_size: int = 1, seed: int = 0) -> DensitySampler:
    return DensitySampler.from_weights(WEIGHTS, num_samples, seed, rank, world_size)


@pytest.mark.parametrize("world_size", [1, 3])
def test_frequencies_are_the_weights(world_size: int) -> None:
    n = 200_000
    rows = [row for rank in range(world_size) for row in make(n, rank, world_size)]
    counts = np.bincount(rows, minlength=40)
    wide = WEIGHTS.astype(np.float64)
    assert chisquare(counts, n * wide / wide.sum()).pvalue > 1e-3
    uniform = chisquare(counts).pvalue
    assert uniform < 1e-9


def test_epochs_and_seeds_draw_independently() -> None:
    sampler = make(5000)
    first, second = list(sampler), list(sampler)
    other = list(make(5000, seed=1))
    expected = float((WEIGHTS.astype(float) ** 2).sum())
    for found in (second, other):
        assert np.mean(np.array(first) == np.array(found)) == pytest.approx(expected, abs=0.03)


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(1, 7), st.integers(0, 5), st.integers(0, 3))
def test_ranks_share_the_stream_and_repeat_no_place(n: int, world_size: int, seed: int, epoch: int) -> None:
    alone = make(n, seed=seed)
    alone.set_epoch(epoch)
    whole = list(alone)
    ranks = [make(n, rank, world_size, seed) for rank in range(world_size)]
    for rank in ranks:
        rank.set_epoch(epoch)
    lengths = [len(rank) for rank in ranks]
    parts = [list(rank) for rank in ranks]
    assert [len(part) for part in parts] == lengths
    for rank, part in enumerate(parts):
        assert part == whole[rank::world_size]
    assert sum(lengths) == n


@settings(max_examples=40)
@given(st.integers(1, 120), st.integers(0, 60), st.integers(1, 4), st.integers(1, 4))
def test_what_was_left_goes_on_with_any_number_of_ranks(
    n: int, n_steps: int, before: int, after: int
) -> None:
    whole = list(make(n))
    n_steps = min(n_steps, n // before)
    rank = make(n, 0, before)
    steps = iter(rank)
    for _ in range(n_steps):
        next(steps)
    state = rank.state_dict()
    resumed = [make(n, r, after) for r in range(after)]
    found = []
    for sampler in resumed:
        sampler.load_state_dict(state)
        found.append(list(sampler))
    left = whole[n_steps * before :]
    assert found == [left[r::after] for r in range(after)]


def test_the_next_epoch_follows_one_that_was_resumed() -> None:
    sampler = make(100)
    epochs = [list(sampler) for _ in range(3)]
    resumed = make(100)
    resumed.resume(1, 30)
    assert [list(resumed), list(resumed)] == [epochs[1][30:], epochs[2]]
    resumed.resume(1, 30)
    resumed.set_epoch(1)
    assert len(resumed) == 70
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]


def test_a_state_of_other_weights_is_refused() -> None:
    state = make().state_dict()
    other = DensitySampler.from_weights(WEIGHTS[::-1].copy(), 1000)
    with pytest.raises(UsageError, match="other weights"):
        other.load_state_dict(state)
    with pytest.raises(UsageError, match="other seed"):
        make(seed=3).load_state_dict(state)


def test_more_rows_than_single_precision_can_count() -> None:
    n = 2**24 + 3000
    weights = np.full(n, 0.5 / (n - 2000), np.float32)
    weights[-2000:] = 0.5 / 2000
    rows = np.fromiter(DensitySampler.from_weights(weights, 40_000), np.int64)
    late = (rows >= n - 2000).mean()
    assert late == pytest.approx(0.5, abs=0.02)
    assert rows.max() >= n - 100
    assert len(np.unique(rows[rows < n - 2000])) > 0.99 * (rows < n - 2000).sum()


def test_rows_without_weight_are_never_drawn() -> None:
    weights = np.array([0, 0.5, 0, 0, 0.5, 0], np.float32)
    assert set(DensitySampler.from_weights(weights, 2000)) == {1, 4}


@pytest.mark.parametrize("wrong", [[], [0, 0], [-1, 2], [np.nan, 1], [[1, 2]]])
def test_what_is_no_distribution_is_refused(wrong: list) -> None:
    with pytest.raises(UsageError, match="no distribution"):
        DensitySampler.from_weights(np.array(wrong, np.float32), 5)


@pytest.mark.parametrize(("rank", "world_size"), [(1, 1), (-1, 2), (5, 4)])
def test_a_rank_that_there_is_not_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(UsageError, match="rank"):
        make(10, rank, world_size)


def test_it_opens_an_output_directory_and_copies_of_its_files(tmp_path: Path) -> None:
    texts, encoder = drawn(50)
    weights = computed(tmp_path / "made", texts, encoder).weights
    found = DensitySampler(tmp_path / "made", num_samples=500)
    assert list(found) == list(DensitySampler.from_weights(np.asarray(weights), 500))
    (tmp_path / "copied").mkdir()
    np.save(tmp_path / "copied" / "density_weights.npy", weights)
    assert list(DensitySampler(tmp_path / "copied", 500)) == list(DensitySampler(tmp_path / "made", 500))
    assert len(DensitySampler(tmp_path / "made")) == 50
    with pytest.raises(ArtifactMissingError, match="no density weights"):
        DensitySampler(tmp_path / "nowhere")


def test_the_online_way_draws_what_the_precomputed_one_draws(tmp_path: Path) -> None:
    texts, encoder = drawn(120, n_distinct=60)
    computed(tmp_path, texts, encoder, k=5)
    online = DensitySampler.from_texts(texts, encoder, 300, seed=4, k=5)
    assert list(online) == list(DensitySampler(tmp_path, 300, seed=4))


def test_a_loader_takes_it_as_any_sampler() -> None:
    loader = torch.utils.data.DataLoader(list(range(40)), batch_size=8, sampler=make(64))
    batches = [batch.tolist() for batch in loader]
    assert [row for batch in batches for row in batch] == list(make(64))


def test_blocks_are_independent_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS_PER_BLOCK", 64)
    whole = list(make(640))
    late = make(640)
    late.resume(0, 200)
    assert list(late) == whole[200:]
    assert max(Counter(tuple(whole[i : i + 16]) for i in range(0, 640, 16)).values()) == 1

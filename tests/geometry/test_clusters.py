"""Clusters of a map, their order, and the terms that set them apart."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.geometry.clusters import OUTSIDE, by_size, class_tfidf, find_clusters

entries = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.floats(0.01, 5, allow_nan=False)), max_size=40
)


def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [60, 90, 30])
    points = np.array([[0, 0], [20, 0], [0, 20]])[group] + rng.normal(size=(180, 2))
    return points.astype(np.float32), group


def test_blobs_are_found_the_largest_first() -> None:
    points, group = blobs()
    found = find_clusters(points, 20)
    for number, planted in enumerate((1, 0, 2)):
        members = found[group == planted]
        assert (members[members != OUTSIDE] == number).all()
        assert (members == number).mean() > 0.7


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_too_few_points_are_in_no_cluster(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    assert find_clusters(points, 8).tolist() == [OUTSIDE] * n


@pytest.mark.parametrize("n", [5, 6, 30])
def test_as_many_points_as_the_smallest_cluster(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    assert len(find_clusters(points, n)) == n
    assert len(find_clusters(points, 2)) == n


@given(st.lists(st.integers(-1, 5), max_size=30))
def test_renumbering_keeps_the_clusters_and_orders_them(labels: list[int]) -> None:
    found = by_size(np.array(labels, dtype=np.int64)).tolist()
    sizes = Counter(label for label in labels if label >= 0)
    order = sorted(sizes, key=lambda label: (-sizes[label], labels.index(label)))
    assert found == [order.index(label) if label >= 0 else OUTSIDE for label in labels]


@settings(deadline=None)
@given(entries)
def test_class_tfidf_equals_its_formula(given_entries: list[tuple[int, int, float]]) -> None:
    weight: dict[tuple[int, int], float] = defaultdict(float)
    for group, term, w in given_entries:
        weight[group, term] += w
    total = {group: sum(w for (g, _), w in weight.items() if g == group) for group, _ in weight}
    share = {(g, t): w / total[g] for (g, t), w in weight.items()}
    over_classes = {t: sum(s for (_, other), s in share.items() if other == t) for _, t in share}
    expected = {(g, t): s * np.log(1 + 1 / over_classes[t]) for (g, t), s in share.items()}
    columns = np.array(given_entries, dtype=np.float64).reshape(-1, 3)
    found = class_tfidf(columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64), columns[:, 2])
    pairs = list(zip(found.group.tolist(), found.term.tolist(), strict=True))
    assert sorted(pairs) == sorted(expected)
    np.testing.assert_allclose(found.score, [expected[pair] for pair in pairs], rtol=1e-12)
    assert (np.diff(found.group) >= 0).all()
    assert all((np.diff(found.score[found.group == g]) <= 0).all() for g in set(found.group.tolist()))


def test_a_term_of_every_class_says_less_than_one_of_its_own() -> None:
    found = class_tfidf(np.array([0, 0, 1, 1]), np.array([7, 1, 7, 2]), np.ones(4))
    assert found.term.tolist() == [1, 7, 2, 7]

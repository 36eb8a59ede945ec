"""Clusters of a neighbour graph, their order, and the terms that set them apart."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.geometry.clusters import OUTSIDE, by_size, class_tfidf, find_clusters
from precompute.geometry.knn import nearest
from precompute.geometry.layout import Edges, fuzzy_graph

entries = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.floats(0.01, 5, allow_nan=False)), max_size=40
)


def groups() -> tuple[Edges, np.ndarray]:
    """The neighbour graph of directions around three centres, 90, 60 and 30 of them."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat([0, 1, 2], [60, 90, 30]))
    directions = rng.normal(size=(3, 24))[group] + 0.5 * rng.normal(size=(len(group), 24))
    return fuzzy_graph(nearest(directions.astype(np.float32), 12)), group


def test_groups_are_found_the_largest_first() -> None:
    edges, group = groups()
    found = find_clusters(edges, len(group), 20, seed=0)
    for number, planted in enumerate((1, 0, 2)):
        assert (found[group == planted] == number).all()


def test_a_community_that_is_too_small_is_no_cluster() -> None:
    edges, group = groups()
    found = find_clusters(edges, len(group), 40, seed=0)
    assert set(found[group == 2].tolist()) == {OUTSIDE}
    assert set(found.tolist()) == {OUTSIDE, 0, 1}


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_points_without_neighbours_are_in_no_cluster(n: int) -> None:
    none = np.zeros(0, dtype=np.int64)
    assert find_clusters(Edges(none, none, np.zeros(0)), n, 2, seed=0).tolist() == [OUTSIDE] * n


@given(st.lists(st.integers(-1, 5), max_size=30))
def test_renumbering_keeps_the_clusters_and_orders_them(labels: list[int]) -> None:
    found = by_size(np.array(labels, dtype=np.int64)).tolist()
    sizes = Counter(label for label in labels if label >= 0)
    order = sorted(sizes, key=lambda label: (-sizes[label], labels.index(label)))
    assert found == [order.index(label) if label >= 0 else OUTSIDE for label in labels]


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

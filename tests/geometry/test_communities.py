"""Communities of a graph: what is planted is found, nothing falls apart, and one seed gives one answer."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.geometry.communities import find_communities
from precompute.geometry.layout import Edges

graphs = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.dictionaries(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] < pair[1]),
            st.floats(0.01, 1),
            max_size=60,
        ),
    )
)


def edges_of(pairs: dict[tuple[int, int], float]) -> Edges:
    both = sorted([*((a, b, w) for (a, b), w in pairs.items()), *((b, a, w) for (a, b), w in pairs.items())])
    columns = list(zip(*both, strict=True)) or [(), (), ()]
    return Edges(np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], float))


def graph_of(n: int, pairs: dict[tuple[int, int], float]) -> networkx.Graph:
    graph = networkx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_weighted_edges_from((a, b, w) for (a, b), w in pairs.items())
    return graph


def parts(found: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(found == c).tolist()) for c in np.unique(found)]


@settings(max_examples=60)
@given(graphs, st.sampled_from([0.5, 1.0, 3.0]))
def test_communities_are_connected_and_no_worse_than_single_nodes(
    graph: tuple[int, dict[tuple[int, int], float]], resolution: float
) -> None:
    n, pairs = graph
    found = find_communities(edges_of(pairs), n, resolution, seed=0)
    reference = graph_of(n, pairs)
    assert all(networkx.is_connected(reference.subgraph(part)) for part in parts(found))
    assert (find_communities(edges_of(pairs), n, resolution, seed=0) == found).all()
    if pairs:
        alone = [{node} for node in range(n)]
        modularity = networkx.community.modularity
        ours = modularity(reference, parts(found), resolution=resolution)
        assert ours >= modularity(reference, alone, resolution=resolution) - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_as_good_as_another_implementation(seed: int) -> None:
    """Modularity within 2 % of networkx's own Louvain on a graph of planted groups and noise."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(6), 25)
    likely = np.where(group[:, None] == group, 0.3, 0.02)
    chosen = np.argwhere(np.triu(rng.random(likely.shape) < likely, 1))
    pairs = {(int(a), int(b)): float(rng.uniform(0.2, 1)) for a, b in chosen}
    reference = graph_of(len(group), pairs)
    found = parts(find_communities(edges_of(pairs), len(group), 1.0, seed=seed))
    theirs = networkx.community.louvain_communities(reference, seed=seed)
    modularity = networkx.community.modularity
    assert modularity(reference, found) >= 0.98 * modularity(reference, theirs)
    assert len(found) == 6


def test_a_graph_without_edges() -> None:
    assert len(np.unique(find_communities(edges_of({}), 4, 1.0, seed=0))) == 4

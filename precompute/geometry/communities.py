"""Communities of a weighted graph: groups of vectors that are each other's neighbours."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from precompute.geometry.layout import Edges


def find_communities(edges: Edges, n: int, resolution: float, seed: int) -> Int64[np.ndarray, " n"]:
    """A community's number for each of n nodes, by Louvain's method (Blondel et al. 2008).

    A partition of great modularity sum_ij (w_ij - resolution * k_i k_j / 2m) [c_i = c_j]: nodes move one by
    one, then communities become nodes, as long as that helps. Communities that fell apart on the way are
    split into their connected parts. A node without edges is alone.
    """
    from scipy.sparse import coo_array, csr_array

    from precompute.geometry.kernels.communities import move_nodes

    generator = np.random.default_rng(seed % 2**63)
    graph = csr_array(coo_array((edges.weight, (edges.head, edges.tail)), shape=(n, n)))
    member = np.arange(n)
    while graph.nnz:
        size = graph.shape[0]
        degree = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
        community = np.arange(size)
        order = generator.permutation(size)
        rows = graph.indptr.astype(np.int64), graph.indices.astype(np.int64), graph.data
        if not move_nodes(*rows, degree, resolution, order, community):
            break
        community = np.unique(community, return_inverse=True)[1]
        member = community[member]
        gather = csr_array((np.ones(size), (community, np.arange(size))))
        graph = csr_array(gather @ graph @ gather.T).sorted_indices()
    return connected_parts(edges, member)


def connected_parts(edges: Edges, member: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Communities with each part that no edge joins to the rest as one of its own."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    inside = member[edges.head] == member[edges.tail]
    shape = (len(member), len(member))
    within = coo_array((edges.weight[inside], (edges.head[inside], edges.tail[inside])), shape=shape)
    parts: Int64[np.ndarray, " n"] = connected_components(within, directed=False)[1].astype(np.int64)
    return parts

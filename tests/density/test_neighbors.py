"""The search of neighbours: against brute force in float64, in a process that never meets torch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from precompute.density import faiss_search, inverted_lists
from precompute.density.faiss_search import (
    ExactSearcher,
    Ranked,
    SearchRequest,
    ranked,
    search,
    search_distinct,
)
from precompute.density.neighbors import SearchSettings, write_graph
from precompute.density.vectors import Vectors
from precompute.errors import LightwellError
from precompute.geometry.knn import nearest
from precompute.progress import Silent
from tests.density import oracle

grids = hnp.arrays(np.float32, st.tuples(st.integers(2, 60), st.integers(1, 3)), elements=st.integers(-2, 2))


def in_memory(values: np.ndarray) -> Vectors:
    return Vectors.of(values, np.arange(len(values)))


@given(grids, st.integers(1, 8))
def test_exact_search_is_that_of_float64_whatever_the_ties(values: np.ndarray, k: int) -> None:
    k = min(k, len(values) - 1)
    found = ExactSearcher(in_memory(values)).nearest(np.arange(len(values)), k)
    expected = oracle.cosines(values)
    np.fill_diagonal(expected, -np.inf)
    best = -np.sort(-expected, axis=1)[:, :k]
    np.testing.assert_allclose(found.cosine, best, rtol=0, atol=1e-12)
    for own, index in enumerate(found.index):
        assert len(set(index.tolist()) - {own, -1}) == k
        np.testing.assert_allclose(expected[own, index], found.cosine[own], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_distinct", [3, 300])
def test_exact_search_gives_what_the_exact_kernel_gives(n_distinct: int) -> None:
    draw = np.random.default_rng(n_distinct)
    values = draw.normal(size=(n_distinct, 24)).astype(np.float32)[draw.integers(0, n_distinct, 400)]
    found = ExactSearcher(in_memory(values)).nearest(np.arange(400), 7)
    expected = nearest(values, 7)
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_allclose(found.cosine, expected.cosine, rtol=0, atol=1e-15)


@settings(max_examples=60)
@given(grids, st.integers(1, 8))
def test_equal_vectors_are_searched_once_and_rank_as_if_each_were_alone(values: np.ndarray, k: int) -> None:
    k = min(k, len(values) - 1)
    vectors = in_memory(values)
    searcher = search_distinct(vectors, k, lambda distinct, _: ExactSearcher(distinct))
    assert sorted(searcher.order.tolist()) == list(range(len(values)))
    found, expected = searcher.nearest(np.arange(len(values)), k), ranked_by_all(vectors, k)
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.cosine, expected.cosine)


def ranked_by_all(vectors: Vectors, k: int) -> Ranked:
    n = len(vectors)
    return ranked(vectors, np.arange(n), np.tile(np.arange(n), (n, 1)), k)


def test_thousands_of_equal_vectors_take_no_longer_than_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = np.repeat(draw.normal(size=(2, 64)), [19_000, 1_000], axis=0).astype(np.float32)
    values = values[draw.permutation(20_000)]
    np.save(tmp_path / "vectors.npy", values)
    started = time.monotonic()
    write_graph(
        tmp_path / "vectors.npy",
        np.arange(20_000),
        SearchSettings(k=5),
        tmp_path,
        workers=1,
        progress=Silent(),
    )
    assert time.monotonic() - started < 30
    same = np.flatnonzero((values == values[7]).all(axis=1))
    np.testing.assert_array_equal(np.load(tmp_path / "neighbors.npy")[7], same[same != 7][:5])
    np.testing.assert_allclose(np.load(tmp_path / "distances.npy"), 0, atol=1e-15)


def test_the_graph_of_chosen_rows_is_that_of_these_rows_alone(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    rows = np.sort(np.random.default_rng(1).choice(500, 321, replace=False))
    np.save(tmp_path / "vectors.npy", values)
    write_graph(tmp_path / "vectors.npy", rows, SearchSettings(k=6), tmp_path, workers=1, progress=Silent())
    order, cosine = oracle.neighbors(values[rows], 6)
    np.testing.assert_array_equal(np.load(tmp_path / "neighbors.npy"), order)
    np.testing.assert_allclose(np.load(tmp_path / "cosines.npy"), cosine, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.load(tmp_path / "distances.npy"), (1 - cosine).mean(axis=1), atol=1e-12)
    record = json.loads((tmp_path / "neighbors.json").read_text())
    assert record == {
        "k": 6, "metric": "cosine", "index": "flat", "recall": 1.0, "n_lists": None, "n_probes": None
    }  # fmt: skip
    assert not list(tmp_path.glob("search_*"))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_k_is_at_most_the_number_of_others(tmp_path: Path, n: int) -> None:
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32))
    write_graph(
        tmp_path / "vectors.npy", np.arange(n), SearchSettings(k=10), tmp_path, workers=1, progress=Silent()
    )
    assert np.load(tmp_path / "neighbors.npy").shape == (n, n - 1)
    assert np.load(tmp_path / "distances.npy").shape == (n,)


def clustered(n: int, d: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(n // 50, d))
    values = centres[draw.integers(0, len(centres), n)] + 0.7 * draw.normal(size=(n, d))
    return values.astype(np.float32)


@pytest.mark.full
def test_lists_reach_their_recall_and_say_it_truly(tmp_path: Path) -> None:
    values = clustered(6000, 24)
    values[17] = 0
    np.save(tmp_path / "vectors.npy", values)
    write_graph(
        tmp_path / "vectors.npy",
        np.arange(6000),
        SearchSettings(10, 1.0),
        tmp_path,
        workers=1,
        progress=Silent(),
    )
    record = json.loads((tmp_path / "neighbors.json").read_text())
    found, cosine = np.load(tmp_path / "neighbors.npy"), np.load(tmp_path / "cosines.npy")
    _, expected = oracle.neighbors(values, 10)
    recall = (cosine >= expected[:, -1:] - 1e-12).mean()
    assert record["index"] == "ivf"
    assert 1 < record["n_probes"] < record["n_lists"]
    assert recall >= 0.95
    assert record["recall"] == pytest.approx(recall, abs=0.02)
    own = oracle.cosines(values)
    np.testing.assert_allclose(np.take_along_axis(own, found.astype(int), 1), cosine, atol=1e-12)
    assert (found >= 0).all()
    assert (found != np.arange(6000)[:, None]).all()
    assert not (tmp_path / "index").exists()


def test_an_approximate_search_that_ends_early_goes_on(tmp_path: Path, monkeypatch) -> None:
    values = clustered(3000, 16, seed=3)
    np.save(tmp_path / "vectors.npy", values)
    np.save(tmp_path / "rows.npy", np.arange(3000))
    monkeypatch.setattr(faiss_search, "QUERIES_PER_BLOCK", 500)
    monkeypatch.setattr("precompute.density.vectors.FLOATS_PER_BLOCK", 800 * 16)

    def request(out: Path) -> SearchRequest:
        out.mkdir(exist_ok=True)
        return SearchRequest(
            vectors=str(tmp_path / "vectors.npy"), rows=str(tmp_path / "rows.npy"), out=str(out), k=5,
            exact_operations=1.0, workers=1,
        )  # fmt: skip

    search(request(tmp_path / "whole"))
    told: list[int] = []

    def stop_at_third(n: int) -> None:
        told.append(n)
        if len(told) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faiss_search, "_tell", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            search(request(tmp_path / "cut"))
        built = []
        patch.setattr(inverted_lists, "_trained", lambda vectors: built.append(1))
        patch.setattr(faiss_search, "_tell", told.append)
        search(request(tmp_path / "cut"))
    assert built == []
    assert told == [0, 500, 500, 1000, 500, 500, 500, 500]
    for name in ("neighbors.npy", "cosines.npy"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_search_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "vectors.npy").write_bytes(b"no array")
    with pytest.raises(LightwellError, match="neighbour search failed"):
        write_graph(
            tmp_path / "vectors.npy", np.arange(4), SearchSettings(), tmp_path, workers=1, progress=Silent()
        )


def test_the_searching_process_never_meets_torch() -> None:
    code = (
        "import sys, precompute.density.faiss_search, precompute.density.inverted_lists;"
        "print([m for m in ('torch', 'transformers', 'peft', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Two sets of texts compared: intervals against references, sets of the corpus against the store."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.sparse import csr_matrix

from dashboard.address import AddressError
from dashboard.queries import Queries
from dashboard.questions.contrast import (
    MOST_TEXTS,
    Choice,
    choice_of,
    corpus_groups,
    group_of_sums,
    metadata_columns,
    texts_of,
)
from dashboard.questions.differences import Differences, Group, differences, newcombe, ranked, wilson
from tests.builders import dense_matrix
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts

VALUES = arrays(np.float64, (7, 4), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]))


def group(shares: np.ndarray, means: np.ndarray) -> Group:
    return Group.of(csr_matrix(shares), csr_matrix(means))


@given(VALUES, VALUES)
def test_moments_are_those_of_dense_arrays(shares: np.ndarray, means: np.ndarray) -> None:
    found = group(shares, means)
    np.testing.assert_allclose(found.mean("texts"), (shares > 0).mean(axis=0))
    np.testing.assert_allclose(found.mean("rows"), shares.mean(axis=0))
    np.testing.assert_allclose(found.mean("mean"), means.mean(axis=0))
    np.testing.assert_allclose(found.variance("rows"), shares.var(axis=0, ddof=1), atol=1e-12)
    np.testing.assert_allclose(found.variance("mean"), means.var(axis=0, ddof=1), atol=1e-12)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(VALUES, VALUES)
def test_intervals_of_means_are_welchs(one: np.ndarray, other: np.ndarray) -> None:
    other = other[:5]
    found = differences(group(one, one), group(other, other), "mean")
    for feature in range(4):
        a, b = one[:, feature], other[:, feature]
        if a.var() == 0 and b.var() == 0:
            assert found.low[feature] == found.high[feature] == found.difference[feature]
            continue
        expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert found.low[feature] == pytest.approx(expected.low, abs=1e-9)
        assert found.high[feature] == pytest.approx(expected.high, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 10, 200])
def test_wilsons_interval_is_scipys(n: int) -> None:
    counts = np.arange(n + 1, dtype=float)
    low, high = wilson(counts, n)
    for count in range(n + 1):
        expected = stats.binomtest(count, n).proportion_ci(method="wilson")
        assert (low[count], high[count]) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_newcombes_interval_is_that_of_his_paper() -> None:
    """Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 5/56 - 0/29."""
    for a, n_a, b, n_b, low, high in (
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (5, 56, 0, 29, -0.0381, 0.1926),
    ):
        found = newcombe(np.array([float(a)]), n_a, np.array([float(b)]), n_b)
        assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=5e-5)


def test_one_text_says_nothing_of_the_spread() -> None:
    alone = group(np.array([[0.5, 0.0]]), np.array([[2.0, 0.0]]))
    found = differences(alone, alone, "rows")
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert found.difference.tolist() == [0, 0]


def test_ranks_are_by_difference_and_leave_out_what_does_not_differ() -> None:
    differ = np.array([0.1, -0.5, 0.0, 0.4, -0.1])
    found = Differences("mean", differ, differ * 0, differ, differ, differ)
    assert ranked(found, 1, 10) == [3, 0]
    assert ranked(found, -1, 10) == [1, 4]
    assert ranked(found, 1, 1) == [3]


def test_texts_are_lines_or_the_whole_field() -> None:
    assert texts_of("a b\n\n  \nc", "lines") == ("a b", "c")
    assert texts_of("a\nb", "whole") == ("a\nb",)
    assert texts_of(" \n ", "whole") == ()
    with pytest.raises(AddressError, match="at most 200"):
        texts_of("x\n" * (MOST_TEXTS + 1), "lines")
    for odd in ("x" * 100_000, "\ud800", None, 3, ["a"]):
        with pytest.raises(AddressError):
            texts_of(odd, "lines")


def test_sums_of_written_texts() -> None:
    texts = [
        {"n_rows": 4, "features": [1, 3], "counts": [2, 1], "sums": [6.0, 1.0]},
        {"n_rows": 2, "features": [3], "counts": [2], "sums": [5.0]},
    ]
    found = group_of_sums(texts, 5)
    assert found.n_texts == 2
    np.testing.assert_allclose(found.mean("texts"), [0, 0.5, 0, 1, 0])
    np.testing.assert_allclose(found.mean("rows"), [0, 0.25, 0, (0.25 + 1) / 2, 0])
    np.testing.assert_allclose(found.mean("mean"), [0, 0.75, 0, (0.25 + 2.5) / 2, 0])


def test_sets_of_the_corpus_are_those_of_the_store(queries: Queries, artifacts: PlainArtifacts) -> None:
    column = "package"
    assert set(metadata_columns(queries)) == {column}
    a, b = corpus_groups(queries, Choice(column, "package0"), Choice(column, "package1"))
    _, rest = corpus_groups(queries, Choice(column, "package0"), None)
    store = artifacts.row_store()
    dense = dense_matrix(store)
    windows, texts = artifacts.table("windows"), artifacts.table("corpus")
    text_of_row = windows["text_index"].to_numpy()[store.row_examples()]

    def expected(values: list[str]) -> list[np.ndarray]:
        chosen = texts.filter(pl.col(column).is_in(values))["text_index"].to_list()
        parts = [dense[text_of_row == text] for text in chosen]
        return [part for part in parts if len(part)]

    for found, values in ((a, ["package0"]), (b, ["package1"]), (rest, ["package1", "package2"])):
        parts = expected(values)
        assert found.n_texts == len(parts)
        np.testing.assert_allclose(found.mean("texts"), np.mean([(p > 0).any(axis=0) for p in parts], axis=0))
        shares = [(p > 0).mean(axis=0) for p in parts]
        np.testing.assert_allclose(found.mean("rows"), np.mean(shares, axis=0), rtol=1e-6)
        means = [p.astype(float).mean(axis=0) for p in parts]
        np.testing.assert_allclose(found.mean("mean"), np.mean(means, axis=0), rtol=1e-5)
        np.testing.assert_allclose(
            found.variance("mean"), np.var(means, axis=0, ddof=1), rtol=1e-4, atol=1e-9
        )
    assert len(a.firing) == D_SAE


@pytest.mark.parametrize("odd", ["package", "package:", "nope:1", ":", 3, ["package:package0"], "text:x"])
def test_odd_choices_are_refused(queries: Queries, odd: object) -> None:
    with pytest.raises(AddressError):
        choice_of(queries, odd)


def test_a_text_cannot_be_in_both_sets(queries: Queries) -> None:
    same = Choice("package", "package0")
    with pytest.raises(AddressError, match="in both sets"):
        corpus_groups(queries, same, same)

"""The map of statements in a real browser, also with 100,000 and 500,000 of them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from dashboard.embedded import OpenedSet
from tests.browser import checks_statements
from tests.browser.checks_axe import check_axe
from tests.browser.served import Visit, serving
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts
from tests.dashboard.made_embeddings import make_embeddings

pytestmark = [pytest.mark.full, pytest.mark.browser]

CHECKS = (
    checks_statements.check_points,
    checks_statements.check_hover_and_click,
    checks_statements.check_search,
    checks_statements.check_lasso,
    checks_statements.check_colours,
)
LOADS = {"medium": 100_000, "full": 500_000}
"""Sizes of made sets, by the names under which they are published."""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """Artifacts, and an embedding set of their corpus and some other texts."""
    return make_artifacts(tmp_path_factory.mktemp("served") / "precomputed_test", n_examples=60)


@pytest.fixture(scope="module")
def opened(artifacts: PlainArtifacts) -> OpenedSet:
    corpus = pl.read_parquet(artifacts.directory / "corpus.parquet")["text"].to_list()
    texts = [*corpus, *(f"Another text <b>number {i}</b>" for i in range(80)), *corpus[::3]]
    return make_embeddings(artifacts.subject.data_dir, texts)


@pytest.fixture(scope="module")
def base(artifacts: PlainArtifacts, opened: OpenedSet) -> Iterator[str]:
    with serving(artifacts) as address:
        yield address


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_statements(visit: Visit, opened: OpenedSet, check: object) -> None:
    check(visit, opened)  # type: ignore[operator]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_those_who_hear_the_page(visit: Visit, opened: OpenedSet, scheme: str) -> None:
    chosen = {"row": "3", "search": "another"}
    check_axe(visit, scheme, [checks_statements.path_of(opened, **chosen)])


@pytest.mark.parametrize("size", LOADS)
def test_many_statements(visit: Visit, artifacts: PlainArtifacts, size: str) -> None:
    texts = [f"made statement number {i} of a load test" for i in range(LOADS[size])]
    many = make_embeddings(artifacts.subject.data_dir, texts, size)
    if many.n > LOADS["medium"]:
        checks_statements.check_many(visit, many)
        checks_statements.check_lasso(visit, many)
    else:  # Drawing them without a GPU takes the test machine its time: once is enough.
        checks_statements.check_points(visit, many)

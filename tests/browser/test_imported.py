"""Model types of imported stores in the browser: what is computed, and a sentence for what does not apply."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from dashboard import formats
from precompute.reading import Artifacts
from tests.browser.checks import check_overview, check_search, check_table
from tests.browser.served import Visit, serving
from tests.stores.imported_types import ImportedFiles, make_imported

pytestmark = [pytest.mark.full, pytest.mark.browser]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImportedFiles:
    made = make_imported(tmp_path_factory.mktemp("imported"))
    assert [made.run(name) for name in ("splat", "bare")] == [0, 0]
    return made


@pytest.fixture(params=["splat", "bare"])
def artifacts(request: pytest.FixtureRequest, files: ImportedFiles) -> Artifacts:
    return files.artifacts(request.param)


@pytest.fixture
def visit(browser: object, artifacts: Artifacts) -> Iterator[Visit]:
    with serving(artifacts) as base:
        context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
        looked = Visit(context.new_page(), base)
        yield looked
        context.close()
        assert looked.wrongs == []


def test_every_page_is_drawn_from_the_artifacts(visit: Visit, artifacts: Artifacts) -> None:
    check_overview(visit, artifacts)
    assert visit.text("#subject").count("there is no model") == 1
    check_table(visit, artifacts)
    assert visit.text(".features-page [role=status].slim").startswith(f"Not for {artifacts.model_type.name}:")
    check_search(visit, artifacts)
    top = artifacts.table("examples").filter(band="top", feature=0).sort("rank")
    check_feature(visit, artifacts, top)
    check_one_example(visit, artifacts, top["example"][0])
    check_what_does_not_apply(visit, artifacts)


def check_feature(visit: Visit, artifacts: Artifacts, top: pl.DataFrame) -> None:
    """Statistics, and the strongest examples with their metadata, each token lit as the whole is."""
    visit.open("/feature/0")
    stats = artifacts.table("feature_stats").row(0, named=True)
    assert visit.fact("Active rows") == f"{stats['n_nonzero']:,}"
    assert visit.fact("Maximum") == formats.decimal(stats["max"])
    articles = visit.page.locator("#examples article")
    assert articles.count() == top.height
    shown = articles.locator(".activation").all_inner_texts()
    assert shown == [formats.decimal(act, 4) for act in top["activation"]]
    for article, example in zip(articles.all()[:5], top["example"][:5].to_list(), strict=True):
        check_article(article, artifacts, example)


def check_article(article: object, artifacts: Artifacts, number: int) -> None:
    """The tokens of one example, and what its store says of it."""
    example = artifacts.example(number, feature=0)
    lit = article.locator(".lit").all_text_contents()  # type: ignore[attr-defined]
    assert [text.removesuffix(" ") for text in lit] == list(example.str_tokens)
    text = article.inner_text()  # type: ignore[attr-defined]
    assert all(str(value) in text for value in example.metadata.values())
    assert ("No token of this example is known" in text) == (not example.str_tokens)


def check_one_example(visit: Visit, artifacts: Artifacts, number: int) -> None:
    """One example by its number, whole."""
    visit.open(f"/feature/0?where=example:{number}&extent=whole")
    articles = visit.page.locator("#examples article")
    assert articles.count() == 1
    check_article(articles.first, artifacts, number)


def check_what_does_not_apply(visit: Visit, artifacts: Artifacts) -> None:
    """One sentence each, and nothing to compute."""
    name = artifacts.model_type.name
    visit.open("/feature/0")
    assert "the activations were imported" in visit.text("#effect")
    assert visit.text("#effects").endswith(f"{_reason(artifacts, 'influences')}.")
    visit.open("/prompt")
    assert "the activations were imported, so there is no model" in visit.text("#page")
    visit.open("/tokens")
    assert f"Not for {name}: " in visit.text(".features-page [role=status].slim")
    if "feature_map" in {s.step for s in artifacts.status() if s.state == "not applicable"}:
        visit.open("/map")
        assert _reason(artifacts, "feature_map") in visit.text("#page")
    else:
        visit.open("/token/5")
        assert "without a model" in visit.text("#page")
    visit.open("/compare?features=0,1")
    assert visit.page.locator(".compared-example").count() > 0


def _reason(artifacts: Artifacts, step: str) -> str:
    return next(status.reason for status in artifacts.status() if status.step == step)

"""What must hold on the pages of any served model type: the values are those of its artifacts."""

from __future__ import annotations

from urllib.parse import urlsplit

import polars as pl

from dashboard import formats
from dashboard.token_view import label
from precompute.reading import Artifacts
from tests.browser.served import Visit


def check_overview(visit: Visit, artifacts: Artifacts) -> None:
    """Sizes, dead features and the state of every step."""
    visit.open("/")
    stats = artifacts.table("feature_stats")
    assert visit.text("h1") == artifacts.model_type.name
    assert visit.fact("Features") == f"{artifacts.row_store().d_sae:,}"
    assert visit.fact("Rows") == f"{artifacts.row_store().n_rows:,}"
    n_dead = stats.filter(pl.col("n_nonzero") == 0).height
    assert visit.text("#dead-link").startswith(f"{n_dead:,} feature")
    visit.page.wait_for_selector("#frequency-figure .bars path", state="attached")
    for status in artifacts.status():
        assert visit.text(f"#step-{status.step} .state") == status.state


def check_table(visit: Visit, artifacts: Artifacts) -> None:
    """Rows come sorted and filtered as the address says, and say what the artifacts say."""
    stats = artifacts.table("feature_stats")
    visit.open("/features?sort=max:desc&n_nonzero=greaterThan:0")
    expected = stats.filter(pl.col("n_nonzero") > 0).sort("max", "feature", descending=[True, False])
    visit.page.wait_for_selector(".ag-row a.feature-link")
    shown = visit.page.locator(".ag-pinned-left-cols-container .ag-row a.feature-link")
    visit.page.wait_for_function("document.querySelectorAll('.ag-row a.feature-link').length > 3")
    first = visit.page.locator(".ag-pinned-left-cols-container .ag-row[row-index='0'] a.feature-link")
    assert first.inner_text() == str(expected["feature"][0])
    assert shown.count() > 3
    cell = visit.page.locator(".ag-center-cols-container .ag-row[row-index='0'] [col-id='n_nonzero']")
    assert cell.inner_text() == f"{expected['n_nonzero'][0]:,}"
    assert visit.text("#grid-count").startswith(f"{expected.height:,}")


def check_search(visit: Visit, artifacts: Artifacts) -> None:
    """A search for a number finds that feature, and goes into the address."""
    visit.open("/features")
    visit.page.wait_for_selector(".ag-row a.feature-link")
    last = artifacts.table("feature_stats")["feature"].max()
    visit.page.fill("#search", str(last))
    visit.page.wait_for_function(f"location.search.includes('search={last}')")
    row = visit.page.locator(".ag-pinned-left-cols-container .ag-row a.feature-link", has_text=str(last))
    row.first.wait_for()
    row.first.click()
    visit.page.wait_for_selector("#feature-title")
    assert visit.text("#feature-title") == str(last)


def check_feature(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Statistics, tokens and examples of one feature."""
    visit.open(f"/feature/{feature}")
    stats = artifacts.table("feature_stats").filter(pl.col("feature") == feature).row(0, named=True)
    assert visit.text("#feature-title") == str(feature)
    assert visit.fact("Active rows") == f"{stats['n_nonzero']:,}"
    assert visit.fact("Maximum") == formats.decimal(stats["max"])
    assert visit.fact("Share active") == formats.share(stats["frac_active"])
    check_effects(visit, artifacts, feature)
    if stats["n_nonzero"]:
        check_examples(visit, artifacts, feature)
        visit.page.wait_for_selector("#histogram-figure .bars path", state="attached")
    else:
        assert "never fires" in visit.text("#examples")


def check_effects(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Every promoted token is shown exactly, in the table and on the bars."""
    table = artifacts.table("influences").filter(pl.col("feature") == feature).sort("rank")
    promoted = table.filter(direction="promotes")
    chips = visit.page.locator("table[aria-label='Promoted tokens'] td:first-child").all_text_contents()
    assert chips == [label(token) for token in promoted["token"]]
    values = visit.page.locator("table[aria-label='Promoted tokens'] td:last-child").all_text_contents()
    assert values == [formats.signed(value, 4) for value in promoted["influence"]]
    visit.page.wait_for_selector("#effects-figure .ytick text", state="attached")
    ticks = visit.page.locator("#effects-figure .ytick text").all_text_contents()
    expected = [label(token) for token in promoted["token"][: len(promoted)]]
    for tick, token in zip(ticks[:3], expected[:3], strict=False):
        assert tick == token or tick.endswith("…")


def check_examples(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """The first example's activation and its token in focus."""
    table = artifacts.table("examples").filter(pl.col("feature") == feature, pl.col("band") == "top")
    top = table.sort("rank").row(0, named=True)
    article = visit.page.locator("#examples article").first
    assert article.locator(".activation").inner_text() == formats.decimal(top["activation"], 4)
    example = artifacts.example(top["example"], feature)
    focus = article.locator(".lit.focus")
    assert f"activation {top['activation']:.4g}" in (focus.get_attribute("title") or "")
    assert f"position {top['position']} " in (focus.get_attribute("title") or "")
    token = example.str_tokens[top["position"]]
    assert token.strip() in (focus.text_content() or "") or not token.isprintable()
    assert visit.page.locator("#examples article").count() == table.height


def check_steps(visit: Visit, feature: int) -> None:
    """Arrow keys go to the next feature and back, and keep the view."""
    visit.open(f"/feature/{feature}?extent=whole")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{feature + 1}'")
    assert visit.page.url.endswith(f"/feature/{feature + 1}?extent=whole")
    visit.page.keyboard.press("ArrowLeft")
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{feature}'")
    visit.page.go_back()
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{feature + 1}'")


def check_choices(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Histogram and band change in place, are kept in the address, and survive a reload."""
    visit.open(f"/feature/{feature}")
    visit.page.locator("#histogram-rows label", has_text="All").click()
    visit.page.wait_for_function("document.querySelectorAll('#histogram-figure .bars').length === 2")
    visit.page.locator("#band label", has_text="Q1").click()
    visit.page.wait_for_function("location.search.includes('band=q1')")
    visit.page.locator(".band-about", has_text="Quantile band 1").wait_for()
    visit.page.reload()
    visit.page.locator(".band-about", has_text="Quantile band 1").wait_for()
    visit.page.wait_for_function("document.querySelectorAll('#histogram-figure .bars').length === 2")
    low = (
        artifacts.table("examples").filter(pl.col("feature") == feature, pl.col("band") == "q1").sort("rank")
    )
    shown = visit.text("#examples article .activation")
    assert shown == formats.decimal(low["activation"][0], 4)


ODD = (
    "/feature/-1",
    "/feature/abc",
    "/feature/99999999",
    "/nope",
    "/feature/1?band=a&band=b",
    "/features?max=eval",
)


def check_odd_addresses(visit: Visit) -> None:
    """A sentence, and a way back."""
    for path in ODD:
        visit.open(path)
        assert "expected" in visit.text("#page")
        assert visit.page.locator(f"#page a[href='{urlsplit(visit.base).path}/']").count() == 1


def check_everything(visit: Visit, artifacts: Artifacts) -> None:
    """All of the above, on the features of a subject that differ most from each other."""
    check_overview(visit, artifacts)
    check_table(visit, artifacts)
    check_search(visit, artifacts)
    for feature in telling_features(artifacts):
        check_feature(visit, artifacts, feature)
    firing = artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0).sort("n_nonzero")
    usual = firing["feature"][firing.height // 2]
    check_choices(visit, artifacts, usual)
    check_steps(visit, min(usual, artifacts.row_store().d_sae - 2))
    check_odd_addresses(visit)


def telling_features(artifacts: Artifacts) -> list[int]:
    """The first and the last, the strongest, the most frequent, and one that never fires, if any."""
    stats = artifacts.table("feature_stats").sort("feature")
    silent = stats.filter(pl.col("n_nonzero") == 0)["feature"].to_list()
    strongest = stats.sort("max", descending=True)["feature"][0]
    frequent = stats.sort("n_nonzero", descending=True)["feature"][0]
    return list(dict.fromkeys([stats["feature"][0], stats["feature"][-1], strongest, frequent, *silent[:1]]))

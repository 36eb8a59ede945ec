"""What must hold of the feature table's tools and the overview, over the artifacts of any model type."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

from dashboard.columns import BY_NAME
from precompute.reading import Artifacts
from tests.browser.served import Visit

FIRST_CELLS = ".ag-pinned-left-cols-container .ag-row[row-index='0'] a.feature-link"


def _ready(visit: Visit, path: str = "/features") -> None:
    visit.open(path)
    visit.page.wait_for_selector(FIRST_CELLS)


def _firing(artifacts: Artifacts) -> pl.DataFrame:
    return artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0)


def check_columns(visit: Visit, _artifacts: Artifacts) -> None:
    """A column that is chosen appears, goes into the address and survives a reload; so does one taken off."""
    _ready(visit)
    header = visit.page.locator(".ag-header-row-column .ag-header-cell[col-id='std']")
    assert header.count() == 0
    visit.page.click("#columns-button")
    visit.page.locator(".column-boxes").get_by_text(BY_NAME["std"].heading, exact=True).click()
    visit.page.wait_for_function("new URLSearchParams(location.search).get('columns')?.includes('std')")
    visit.page.keyboard.press("Escape")
    visit.page.reload()
    header.wait_for(state="attached")
    visit.page.click("#columns-button")
    visit.page.click("#usual-columns")
    visit.page.wait_for_function("!location.search.includes('columns')")
    header.wait_for(state="detached")


def check_sort_by_click(visit: Visit, artifacts: Artifacts) -> None:
    """A click on a heading sorts on the server, and the address says so."""
    _ready(visit)
    heading = visit.page.locator(".ag-header-cell[col-id='n_nonzero'] .ag-header-cell-label")
    for direction in ("asc", "desc"):
        heading.click()
        visit.page.wait_for_function(f"location.search.includes('n_nonzero:{direction}')")
    stats = artifacts.table("feature_stats").sort("n_nonzero", "feature", descending=[True, False])
    best = stats["feature"][0]
    visit.page.locator(FIRST_CELLS).get_by_text(str(best), exact=True).wait_for()


def check_comparing_chosen_rows(visit: Visit, artifacts: Artifacts) -> None:
    """Rows that are ticked open side by side."""
    _ready(visit, "/features?sort=max:desc&n_nonzero=greaterThan:0")
    best = _firing(artifacts).sort("max", "feature", descending=[True, False])["feature"][:2].to_list()
    for place in range(2):
        visit.page.click(f".ag-row[row-index='{place}'] .ag-selection-checkbox input")
    visit.page.get_by_text("Compare (2)").click()
    visit.page.wait_for_selector("#compared-features")
    chosen = visit.page.locator("#compared-features a.chip-feature").all_inner_texts()
    assert [int(text) for text in chosen] == sorted(best)


def check_export(visit: Visit, artifacts: Artifacts) -> None:
    """Both files hold the view that is open."""
    _ready(visit, "/features?sort=max:desc&n_nonzero=greaterThan:0")
    expected = _firing(artifacts).sort("max", "feature", descending=[True, False])
    for name, read in (("CSV", pl.read_csv), ("Parquet", pl.read_parquet)):
        visit.page.click("#export-button")
        with visit.page.expect_download() as download:
            visit.page.get_by_role("menuitem", name=name).click()
        found = read(io.BytesIO(Path(download.value.path()).read_bytes()))
        assert found["feature"].to_list() == expected["feature"].to_list()
        assert found["max"].to_list() == expected["max"].to_list()
        visit.page.get_by_role("menuitem", name=name).wait_for(state="detached")


def check_saved_views(visit: Visit, _artifacts: Artifacts) -> None:
    """A view that is given a name is listed, opens again, and can be removed."""
    _ready(visit, "/features?sort=max:desc")
    visit.page.click("#views-button")
    visit.page.fill("#view-name", "Strongest of all")
    visit.page.click("#save-view")
    visit.page.get_by_role("link", name="Strongest of all").wait_for()
    _ready(visit)
    visit.page.click("#views-button")
    visit.page.get_by_role("link", name="Strongest of all").click()
    visit.page.wait_for_function("location.search === '?sort=max:desc'")
    visit.page.wait_for_selector(FIRST_CELLS)
    _ready(visit)
    visit.page.click("#views-button")
    visit.page.get_by_role("button", name="Remove the view Strongest of all").click()
    visit.page.get_by_text("No view is saved yet").wait_for()


def check_palette(visit: Visit, artifacts: Artifacts) -> None:
    """Ctrl-K, a number, Enter: the feature; a slash, a page's name, Enter: the page."""
    last = artifacts.row_store().d_sae - 1
    visit.open("/")
    visit.page.keyboard.press("Control+k")
    visit.page.keyboard.type(str(last))
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{last}'")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("overvi")
    visit.page.locator("#palette-list li").first.wait_for()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#steps")
    assert urlsplit(visit.page.url).path == urlsplit(visit.base).path + "/"


def wait_for_count(visit: Visit, n: int) -> None:
    """Until the table says that it has so many features; at first it counts all."""
    visit.page.locator("#grid-count", has_text=re.compile(rf"^{n:,} ")).wait_for()


def check_frequency_bands(visit: Visit, artifacts: Artifacts) -> None:
    """A bar's number leads to as many features; so do the links to the dense and the dead ones."""
    visit.open("/")
    stats = artifacts.table("feature_stats")
    visit.page.click("#frequency-data summary")
    links = visit.page.locator("#frequency-data td a")
    counts = [int(text.replace(",", "")) for text in links.all_inner_texts()]
    assert sum(counts) == stats.height
    fullest = max(range(len(counts)), key=counts.__getitem__)
    links.nth(fullest).click()
    visit.page.wait_for_selector(FIRST_CELLS)
    wait_for_count(visit, counts[fullest])
    visit.open("/")
    visit.page.wait_for_selector("#frequency-figure .bars path", state="attached")
    n_dense = stats.filter(pl.col("frac_active") > 0.1).height
    assert visit.text("#dense-link").startswith(f"{n_dense:,} feature")
    visit.page.click("#dense-link")
    wait_for_count(visit, n_dense)


CHECKS = (
    check_columns,
    check_sort_by_click,
    check_comparing_chosen_rows,
    check_export,
    check_saved_views,
    check_palette,
    check_frequency_bands,
)
"""All of the above."""


def check_all_of_the_table(visit: Visit, artifacts: Artifacts) -> None:
    """One after another."""
    for check in CHECKS:
        check(visit, artifacts)

"""What must hold on the pages of tokens: the values are those of the artifacts."""

from __future__ import annotations

import polars as pl

from dashboard import formats
from dashboard.token_view import label
from precompute.reading import Artifacts
from tests.browser.served import Visit

CELL = "#token-grid .ag-row[row-index='{row}'] [col-id='{column}']"


def check_token_table(visit: Visit, artifacts: Artifacts) -> None:
    """Sorted as the address says; a click on a heading sorts anew, and the address follows."""
    counts = artifacts.table("token_counts").sort("n_rows", "token_id", descending=[True, False])
    names = artifacts.table("vocabulary").sort("token_id")["token"]
    visit.open("/tokens?sort=n_rows:desc")
    visit.page.wait_for_selector("#token-grid a.token-link")
    for row in range(3):
        token_id, n_rows = counts["token_id"][row], counts["n_rows"][row]
        cell = visit.page.locator(CELL.format(row=row, column="shown"))
        assert cell.text_content() == label(names[token_id])
        assert visit.text(CELL.format(row=row, column="n_rows")) == f"{n_rows:,}"
    assert visit.text("#token-count") == f"{len(names):,} tokens"
    visit.page.locator("#token-grid .ag-header-cell[col-id='token_id']").click()
    visit.page.wait_for_function("location.search.includes('sort=token_id:asc')")
    first = CELL.format(row=0, column="token_id")
    visit.page.wait_for_function("cell => document.querySelector(cell)?.innerText === '0'", arg=first)


def check_token_search(visit: Visit, artifacts: Artifacts) -> None:
    """A search by id and by text; Enter in the row opens the token; Back comes back to the search."""
    token_id = busiest_token(artifacts)
    visit.open("/tokens")
    visit.page.fill("#token-search", f"#{token_id}")
    visit.page.wait_for_function("location.search.includes('search=')")
    visit.page.locator("#token-count", has_text="1 of").wait_for()
    visit.page.locator(CELL.format(row=0, column="n_rows")).click()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#token-title")
    assert visit.page.url.endswith(f"/token/{token_id}")
    visit.page.go_back()
    visit.page.locator("#token-count", has_text="1 of").wait_for()
    visit.open("/tokens?search=nothing-is-like-this-one")
    visit.page.locator("#token-count", has_text="None of").wait_for()


def check_token(visit: Visit, artifacts: Artifacts, token_id: int) -> None:
    """Counts, pushes, firing features and texts of one token."""
    visit.open(f"/token/{token_id}")
    row = artifacts.table("vocabulary").filter(token_id=token_id).row(0, named=True)
    assert visit.page.locator("#token-title").text_content() == label(row["token"])
    counts = artifacts.table("token_counts").filter(token_id=token_id).row(0, named=True)
    idf = artifacts.table("idf").filter(token_id=token_id).row(0, named=True)
    assert visit.fact("Rows") == f"{counts['n_rows']:,}"
    assert visit.fact("Features firing") == f"{counts['n_features']:,}"
    assert visit.fact("Examples") == f"{idf['document_frequency']:,}"
    assert visit.fact("IDF") == formats.decimal(idf["idf"])
    check_pushes(visit, artifacts, token_id)
    check_firing(visit, artifacts, token_id)
    if counts["n_rows"]:
        assert f"On {counts['n_rows']:,} row" in visit.text("#token-texts .caption")
        marks = visit.page.locator("#token-texts article .here")
        assert marks.count() >= visit.page.locator("#token-texts article").count() > 0
        assert marks.first.text_content() == label(row["token"]).replace("␣", " ") or len(row["token"]) > 1
    else:
        assert "stands on no row" in visit.text("#token-texts")


def check_pushes(visit: Visit, artifacts: Artifacts, token_id: int) -> None:
    """The features that push a token up and down, with their logits; the grid begins with the first."""
    found = artifacts.table("token_influences").filter(token_id=token_id).sort("rank")
    for name, way in (("Pushed up by", "promotes"), ("Pushed down by", "suppresses")):
        expected = found.filter(direction=way).head(15)
        rows = visit.page.locator(f"table[aria-label='{name}'] tbody tr")
        assert rows.locator("a").all_text_contents() == [str(f) for f in expected["feature"]]
        assert rows.locator("td:last-child").all_text_contents() == [
            formats.signed(value, 4) for value in expected["influence"]
        ]
    first = visit.page.locator("#effects-grid .ag-row[row-index='0'] [col-id='feature'] a")
    first.wait_for()
    assert first.inner_text() == str(found.filter(direction="promotes")["feature"][0])


def check_firing(visit: Visit, artifacts: Artifacts, token_id: int) -> None:
    """The features that fire on a token."""
    expected = artifacts.table("token_features").filter(token_id=token_id).sort("rank")
    rows = visit.page.locator("#fires tbody tr")
    assert rows.count() == expected.height
    if expected.height:
        assert rows.locator("a").all_text_contents() == [str(f) for f in expected["feature"]]
        assert rows.locator("td:last-child").all_text_contents() == [
            formats.decimal(value) for value in expected["max_act"]
        ]


def check_pages_of_texts(visit: Visit, artifacts: Artifacts) -> None:
    """Later texts by the button, in the address, and after a reload; arrow keys go to the next token."""
    token_id = busiest_token(artifacts)
    visit.open(f"/token/{token_id}")
    first = visit.text("#token-texts article .place")
    visit.page.get_by_label("Later texts").click()
    visit.page.wait_for_function("location.search === '?page=2'")
    visit.page.wait_for_function(
        "text => document.querySelector('#token-texts article .place').innerText !== text", arg=first
    )
    second = visit.text("#token-texts article .place")
    visit.page.reload()
    visit.page.wait_for_selector("#token-texts article")
    assert visit.text("#token-texts article .place") == second
    step, key = ("next", "ArrowRight") if token_id == 0 else ("previous", "ArrowLeft")
    visit.page.wait_for_selector(f"#{step}")
    visit.page.keyboard.press(key)
    other = token_id + 1 if token_id == 0 else token_id - 1
    visit.page.wait_for_function(f"location.pathname.endsWith('/token/{other}')")


def busiest_token(artifacts: Artifacts) -> int:
    """The token that stands on the most rows."""
    return int(artifacts.table("token_counts").sort("n_rows")["token_id"][-1])


def telling_tokens(artifacts: Artifacts) -> list[int]:
    """The first and the last, the most frequent, and one that stands nowhere, if any."""
    counts = artifacts.table("token_counts").sort("token_id")
    nowhere = counts.filter(pl.col("n_rows") == 0)["token_id"].to_list()
    chosen = [0, counts.height - 1, busiest_token(artifacts), *nowhere[:1]]
    return list(dict.fromkeys(chosen))


def check_all_of_tokens(visit: Visit, artifacts: Artifacts) -> None:
    """All of the above."""
    check_token_table(visit, artifacts)
    check_token_search(visit, artifacts)
    for token_id in telling_tokens(artifacts):
        check_token(visit, artifacts, token_id)
    check_pages_of_texts(visit, artifacts)

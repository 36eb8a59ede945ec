"""What must hold on the map: points are drawn, what lights up is listed, a click opens, all by keys too."""

from __future__ import annotations

import polars as pl

from precompute.reading import Artifacts
from tests.browser.lasso import lassoed
from tests.browser.served import Visit

FIRST = "#map-grid .ag-row[row-index='0'] [col-id='feature'] a"
PLACE_OF = """feature => {
  const figure = document.querySelector('#map-figure .js-plotly-plot');
  const data = figure._fullData[0], layout = figure._fullLayout, box = figure.getBoundingClientRect();
  const i = Array.from(data.customdata).indexOf(feature);
  return [box.left + layout.xaxis._offset + layout.xaxis.d2p(data.x[i]),
          box.top + layout.yaxis._offset + layout.yaxis.d2p(data.y[i])];
}"""


def opened(visit: Visit, path: str) -> None:
    """Open the map at an address, and wait until its points and its table are drawn."""
    visit.open(path)
    visit.page.wait_for_function(
        "document.querySelector('#map-figure .js-plotly-plot')?._fullData?.length === 4"
    )


def lit_features(visit: Visit) -> list[int]:
    """The features that light up, as they are drawn."""
    found = "Array.from(document.querySelector('#map-figure .js-plotly-plot')._fullData[1].customdata || [])"
    return [int(feature) for feature in visit.page.evaluate(found)]


def check_points(visit: Visit, artifacts: Artifacts) -> None:
    """Every feature that has a place is drawn there, by WebGL."""
    opened(visit, "/map")
    table = artifacts.table("feature_map").sort("feature")
    placed = table.filter(pl.col("x").is_not_null())
    drawn = visit.page.evaluate(
        "(() => { const d = document.querySelector('#map-figure .js-plotly-plot')._fullData[0];"
        "return [d.type, Array.from(d.customdata), Array.from(d.x)]; })()"
    )
    assert drawn[0] == "scattergl"
    assert drawn[1] == placed["feature"].to_list()
    assert max(abs(a - b) for a, b in zip(drawn[2], placed["x"], strict=True)) < 1e-5
    assert visit.text("#map-summary") == f"{table.height:,} features"
    assert visit.text(FIRST) == str(table["feature"][0])


def check_search_lights_up(visit: Visit, artifacts: Artifacts) -> None:
    """A search for a number: its point, its row, the address; a reload shows the same; Clear ends it."""
    last = int(artifacts.table("feature_map")["feature"].max())  # type: ignore[arg-type]
    opened(visit, "/map")
    visit.page.fill("#map-search", str(last))
    visit.page.wait_for_function(f"location.search.includes('search={last}')")
    visit.page.locator("#map-summary", has_text="light up").wait_for()
    visit.page.locator("#map-grid a.feature-link", has_text=str(last)).first.wait_for()
    assert last in lit_features(visit)
    visit.page.reload()
    visit.page.locator("#map-summary", has_text="light up").wait_for()
    visit.page.locator("#map-clear").click()
    visit.page.wait_for_function("!location.search.includes('search')")
    visit.page.wait_for_function("!document.querySelector('#map-summary').innerText.includes('light up')")


def check_cluster(visit: Visit, artifacts: Artifacts) -> None:
    """A cluster's features, and no others."""
    table = artifacts.table("feature_map").sort("feature")
    opened(visit, "/map?cluster=0")
    members = table.filter(pl.col("cluster") == 0, pl.col("x").is_not_null())["feature"].to_list()
    assert lit_features(visit) == members
    assert visit.text(FIRST) == str(members[0])


def check_similarity(visit: Visit, artifacts: Artifacts) -> None:
    """Colours by similarity; the selected feature first in the table, with a cosine of 1."""
    feature = int(artifacts.table("feature_map").sort("feature")["feature"][1])
    opened(visit, "/map")
    visit.page.locator("#map-colour label", has_text="Similarity").click()
    visit.page.locator("#map-summary", has_text="Select a feature").wait_for()
    visit.page.fill("#map-feature", str(feature))
    visit.page.wait_for_function(f"location.search.includes('feature={feature}')")
    cosine = "#map-grid .ag-row[row-index='0'] [col-id='similarity']"
    visit.page.wait_for_function("cell => document.querySelector(cell)?.innerText === '1.00'", arg=cosine)
    assert visit.text(FIRST) == str(feature)
    title = visit.page.locator("#map-figure .colorbar text", has_text=f"Cosine with {feature}")
    title.first.wait_for(state="attached")


def check_lasso(visit: Visit, artifacts: Artifacts) -> None:
    """A lasso around the middle: its features in the table, its outline in the address; a reload keeps it."""
    opened(visit, "/map")
    corners = lassoed(visit, "#map-figure")
    visit.page.locator("#map-summary", has_text="light up").wait_for()
    said = visit.text("#map-summary")
    low, high = (pick(x for x, _ in corners) for pick in (min, max))
    found = lit_features(visit)
    table = artifacts.table("feature_map").filter(pl.col("feature").is_in(found))
    assert 0 < len(found) == table.height
    assert table["x"].is_between(low, high).all()
    assert said.startswith(f"{len(found):,} of")
    visit.page.reload()
    visit.page.locator("#map-summary", has_text=said).wait_for()


def check_area_by_keys(visit: Visit, artifacts: Artifacts) -> None:
    """Without a pointer: an area by numbers, then a row of the table, then its feature."""
    table = artifacts.table("feature_map")
    middle = float(table["x"].median())  # type: ignore[arg-type]
    opened(visit, "/map")
    visit.page.locator(".area-by-numbers summary").focus()
    visit.page.keyboard.press("Enter")
    for number, value in enumerate((round(middle, 2), 1000, -1000, 1000)):
        visit.page.fill(f"#area-{number}", str(value))
    visit.page.locator("#area-choose").focus()
    visit.page.keyboard.press("Enter")
    expected = table.filter(pl.col("x") > round(middle, 2), pl.col("y").is_not_null()).sort("feature")
    visit.page.locator("#map-summary", has_text=f"{expected.height:,} of").wait_for()
    wanted = str(expected["feature"][0])
    visit.page.wait_for_function(
        "([name, text]) => document.querySelector(name)?.innerText === text", arg=[FIRST, wanted]
    )
    visit.page.locator(f"{FIRST} >> xpath=ancestor::*[@col-id]").click(position={"x": 60, "y": 8})
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#feature-title")
    assert visit.text("#feature-title") == wanted


def check_click(visit: Visit, artifacts: Artifacts) -> None:
    """A click on a point opens its feature: on the outermost one, which no other covers."""
    table = artifacts.table("feature_map").filter(pl.col("x").is_not_null())
    feature = int(table.sort("x")["feature"][-1])
    opened(visit, "/map")
    x, y = visit.page.evaluate(PLACE_OF, feature)
    visit.page.mouse.move(x, y)
    visit.page.wait_for_selector("#map-figure .hoverlayer .hovertext", state="attached")
    visit.page.mouse.click(x, y)
    visit.page.wait_for_selector("#feature-title")
    assert visit.text("#feature-title") == str(feature)


def check_all_of_map(visit: Visit, artifacts: Artifacts) -> None:
    """All of the above."""
    check_points(visit, artifacts)
    check_search_lights_up(visit, artifacts)
    check_cluster(visit, artifacts)
    check_similarity(visit, artifacts)
    check_lasso(visit, artifacts)
    check_area_by_keys(visit, artifacts)
    check_click(visit, artifacts)

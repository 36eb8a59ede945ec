"""What must hold on the map of statements: places, what lights up, the opened statement, many points."""

from __future__ import annotations

import numpy as np
import polars as pl

from dashboard.components.opened_statement import brief
from dashboard.embedded import OpenedSet
from dashboard.questions.statements import nearest
from tests.browser.lasso import lassoed
from tests.browser.served import Visit

DRAWN = "document.querySelector('#emb-figure .js-plotly-plot')?._fullData?.length === 4"
PLACE_OF = """([x, y]) => {
  const figure = document.querySelector('#emb-figure .js-plotly-plot');
  const layout = figure._fullLayout, box = figure.getBoundingClientRect();
  return [box.left + layout.xaxis._offset + layout.xaxis.d2p(x),
          box.top + layout.yaxis._offset + layout.yaxis.d2p(y)];
}"""
ZOOM = """([x, y, reach]) => {
  const figure = document.querySelector('#emb-figure .js-plotly-plot');
  const ranges = {'xaxis.range': [x - reach, x + reach], 'yaxis.range': [y - reach, y + reach]};
  window.Plotly.relayout(figure, ranges);
}"""
FIRST = "#emb-grid .ag-row[row-index='0'] [col-id='row'] a"


def path_of(opened: OpenedSet, **chosen: str) -> str:
    """The address of a set, with further choices."""
    named = {"model": opened.name.model, "size": opened.name.size, **chosen}
    return "/embeddings?" + "&".join(f"{name}={value}" for name, value in named.items())


def open_set(visit: Visit, opened: OpenedSet, **chosen: str) -> None:
    """Open the map of a set, and wait until it is drawn."""
    visit.open(path_of(opened, **chosen))
    visit.page.wait_for_function(DRAWN)


def outermost(opened: OpenedSet) -> int:
    """The statement that no other one covers: furthest to the right, the only one of its text."""
    alone = opened.points.filter(pl.col("row").is_in(opened.graph.rows.tolist()), pl.col("x").is_not_null())
    first = opened.first_rows
    single = np.bincount(first, minlength=opened.n) == 1
    alone = alone.filter(pl.Series(single[alone["row"].to_numpy()]))
    return int(alone.sort("x")["row"][-1])


def check_points(visit: Visit, opened: OpenedSet) -> None:
    """Every statement is drawn at its place, by WebGL, and none of their texts is in the figure."""
    open_set(visit, opened)
    drawn = visit.page.evaluate(
        "(() => { const d = document.querySelector('#emb-figure .js-plotly-plot')._fullData[0];"
        "return [d.type, Array.from(d.x), d.text]; })()"
    )
    assert drawn[0] == "scattergl"
    np.testing.assert_allclose(np.array(drawn[1], float), opened.places[0], atol=1e-5)
    assert not drawn[2]
    assert visit.text("#emb-summary") == f"{opened.n:,} statements"
    sizes = visit.page.locator("#emb-legend .kind-count").all_inner_texts()
    assert sum(int(size.replace(",", "")) for size in sizes) == opened.n


def check_hover_and_click(visit: Visit, opened: OpenedSet) -> None:
    """A point tells its text, and a click opens the statement with its nearest; a reload shows it again."""
    row = outermost(opened)
    open_set(visit, opened)
    x, y = visit.page.evaluate(PLACE_OF, [float(axis[row]) for axis in opened.places])
    visit.page.mouse.move(x, y)
    text = opened.column("text")[row]
    visit.page.locator("#emb-hover:not([hidden])").wait_for()
    assert visit.text("#emb-hover") == f"{row} · {brief(text)}"
    visit.page.mouse.click(x, y)
    visit.page.locator("#emb-statement .statement-text").wait_for()
    near = nearest(opened, row)
    for _ in ("opened", "reloaded"):
        visit.page.wait_for_function(f"location.search.includes('row={row}')")
        assert visit.page.locator(".near-table .statement-link").all_inner_texts() == [
            str(r) for r in near.rows
        ]
        visit.page.locator("#emb-strongest .caption, #emb-strongest .empty", has_text="features").wait_for()
        visit.page.reload()
        visit.page.locator("#emb-statement .statement-text").wait_for()
    visit.page.locator(".near-table .statement-link").first.click()
    visit.page.wait_for_function(f"location.search.includes('row={near.rows[0]}')")


def check_search(visit: Visit, opened: OpenedSet) -> None:
    """A search lights up what contains a text; the table and the address say it; Clear ends it."""
    texts = opened.column("text")
    row = outermost(opened)
    wanted = texts[row][:30]
    rows = [i for i, text in enumerate(texts) if wanted.lower() in text.lower()]
    open_set(visit, opened)
    visit.page.fill("#emb-search", wanted)
    visit.page.locator("#emb-summary", has_text=f"{len(rows):,} of").wait_for()
    visit.page.wait_for_function(
        "([name, text]) => document.querySelector(name)?.innerText === text", arg=[FIRST, str(rows[0])]
    )
    assert "search=" in visit.page.url
    visit.page.reload()
    visit.page.locator("#emb-summary", has_text=f"{len(rows):,} of").wait_for()
    visit.page.locator("#emb-clear").click()
    visit.page.wait_for_function("!location.search.includes('search')")
    visit.page.locator("#emb-summary", has_text=f"{opened.n:,} statements").wait_for()


def check_lasso(visit: Visit, opened: OpenedSet) -> None:
    """A lasso around the middle: its polygon goes to the server; table, address and a reload agree."""
    open_set(visit, opened)
    corners = lassoed(visit, "#emb-figure")
    visit.page.locator("#emb-summary", has_text="light up").wait_for()
    said = visit.text("#emb-summary")
    (low_x, high_x), (low_y, high_y) = ((min(axis), max(axis)) for axis in zip(*corners, strict=True))
    px, py = opened.places
    n = int(((px > low_x) & (px < high_x) & (py > low_y) & (py < high_y)).sum())
    found = int(said.split(" of ")[0].replace(",", ""))
    assert abs(found - n) <= max(2, n // 50)
    visit.page.reload()
    visit.page.locator("#emb-summary", has_text=said).wait_for()


def check_colours(visit: Visit, opened: OpenedSet) -> None:
    """A column of the metadata colours the points; its legend counts them."""
    name = next(n for n in opened.metadata_columns if opened.schema[n] == pl.String)
    open_set(visit, opened, colour=f"column:{name}")
    counts = opened.column(name).value_counts(sort=True)
    shown = visit.page.locator("#emb-legend .kind-count").first.inner_text()
    assert shown == f"{counts['count'][0]:,}"


def check_many(visit: Visit, opened: OpenedSet) -> None:
    """More points than are drawn one by one: an image of the view, points once few are in it, which open."""
    open_set(visit, opened)
    image = "document.querySelector('#emb-figure .imagelayer image')"
    visit.page.wait_for_function(f"(({image}?.href?.baseVal) || '').length > 2000")
    assert visit.text("#emb-summary") == f"{opened.n:,} statements"
    row = outermost(opened)
    x, y = (float(axis[row]) for axis in opened.places)
    visit.page.evaluate(ZOOM, [x, y, 0.4])
    rows = "document.querySelector('#emb-figure .js-plotly-plot').data[0].meta?.rows"
    visit.page.wait_for_function(rows)
    px, py = opened.places
    n_seen = visit.page.evaluate(
        "document.querySelector('#emb-figure .js-plotly-plot')._fullData[0].x.length"
    )
    layout = "document.querySelector('#emb-figure .js-plotly-plot')._fullLayout"
    (left, right), (low, high) = visit.page.evaluate(f"[{layout}.xaxis.range, {layout}.yaxis.range]")
    assert n_seen == int(((px >= left) & (px <= right) & (py >= low) & (py <= high)).sum())
    at = visit.page.evaluate(PLACE_OF, [x, y])
    visit.page.mouse.move(*at)
    visit.page.locator("#emb-hover:not([hidden])").wait_for()
    visit.page.mouse.click(*at)
    visit.page.wait_for_function(f"location.search.includes('row={row}')")
    visit.page.locator(
        "#emb-statement .statement-text", has_text=brief(opened.column("text")[row])
    ).wait_for()


def check_all_of_statements(visit: Visit, opened: OpenedSet) -> None:
    """All but the load."""
    check_points(visit, opened)
    check_hover_and_click(visit, opened)
    check_search(visit, opened)
    check_lasso(visit, opened)
    check_colours(visit, opened)

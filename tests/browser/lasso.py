"""A lasso drawn by the mouse on a figure."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.browser.served import Visit


def lassoed(visit: Visit, figure: str) -> list[tuple[float, float]]:
    """Draw a square lasso around the middle of a figure; its corners as the address then has them."""
    visit.page.locator(f"{figure} .modebar-btn[data-val='lasso']").click()
    box = visit.page.locator(f"{figure} .nsewdrag").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    reach = min(box["width"], box["height"]) / 3
    visit.page.mouse.move(x - reach, y - reach)
    visit.page.mouse.down()
    for a, b in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        visit.page.mouse.move(x + a * reach, y + b * reach, steps=6)
    visit.page.mouse.up()
    visit.page.wait_for_function("location.search.includes('area=')")
    text = parse_qs(urlsplit(visit.page.url).query)["area"][0]
    corners = [corner.split(":") for corner in text.split(",")]
    return [(float(across), float(up)) for across, up in corners]

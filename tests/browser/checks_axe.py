"""What must hold for those who do not see or do not point: axe finds nothing serious on any page."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from dashboard.pages import PAGES
from tests.browser.served import Visit

GRAVE = ("serious", "critical")
FIND = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map((found) => ({
  rule: found.id, impact: found.impact, places: found.nodes.slice(0, 4).map((n) => n.html.slice(0, 200)),
}))"""
GRIDS_DRAWN = """() => Array.from(document.querySelectorAll('.ag-root'))
  .every((grid) => grid.querySelector('.ag-header-cell'))"""


def grave_violations(visit: Visit) -> list[dict[str, object]]:
    """The rules that the open page breaks seriously, with places."""
    visit.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    return [found for found in visit.page.evaluate(FIND) if found["impact"] in GRAVE]


def check_axe(visit: Visit, scheme: str, paths: Iterable[str] = ()) -> None:
    """Every page, in light or dark; `paths` instead of each page's example."""
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = {}
    for path in paths or [page.shown_at for page in PAGES]:
        visit.open(path)
        visit.page.wait_for_function(GRIDS_DRAWN)
        violations = grave_violations(visit)
        if violations:
            found[path] = violations
    assert not found, "\n".join(f"{path}: {one}" for path, all_ in found.items() for one in all_)

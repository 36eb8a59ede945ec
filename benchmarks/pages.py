"""How fast the pages are: `python -m benchmarks.pages ultra --data-dir data`.

Over random features of a computed model type: the time that the server takes for a feature's page and for a
block of the grid, from the request's bytes to the answer's; and the time until a browser has drawn the page,
its figures and examples included, from a link within the app. Beside wall time stands processor
time, which says the same on a machine that does other work too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dashboard.app import create_app
from dashboard.columns import COLUMNS
from dashboard.pages import PAGES
from dashboard.settings import DashboardSettings
from precompute.command_line import CommandParser, run_command
from precompute.reading import Artifacts, open_artifacts

DRAWN = """(feature) => {
  const title = document.querySelector('#feature-title');
  const figures = Array.from(document.querySelectorAll('.js-plotly-plot'));
  return title && title.innerText === feature && figures.length > 0
    && figures.every((figure) => figure.querySelector('.main-svg'));
}"""
TESTS = ("lessThan", "greaterThan", "inRange")
WORDS = ("the", "return", "\n", "self", "0", "error", " a", "class")


@dataclass(frozen=True)
class Taken:
    """What one answer took."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds of processor time of this process; 0 where another one does the work."""


def asked_of(app: Any) -> Callable[[str, dict[str, Any]], Taken]:
    """What asks a callback of the app with values by input, and says what that took."""
    client = app.server.test_client()

    def ask(output: str, values: dict[str, Any]) -> Taken:
        callback = app.callback_map[output]

        def listed(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
            names = [(one["id"], one["property"]) for one in sources]
            return [{"id": i, "property": p, "value": values.get(f"{i}.{p}")} for i, p in names]

        targets = [part.rsplit(".", 1) for part in output.strip(".").split("...")]
        outputs = [{"id": i, "property": p} for i, p in targets]
        body = {
            "output": output,
            "outputs": outputs if output.startswith("..") else outputs[0],
            "inputs": listed(callback["inputs"]),
            "state": listed(callback["state"]),
            "changedPropIds": list(values)[:1],
        }
        data = json.dumps(body)
        start, processor = time.perf_counter(), time.process_time()
        answer = client.post("/_dash-update-component", data=data, content_type="application/json")
        taken = Taken(time.perf_counter() - start, time.process_time() - processor)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        return taken

    return ask


def output_of(app: Any, part: str) -> str:
    """The full name of the callback with an output."""
    return next(name for name in app.callback_map if part in name.strip(".").split("..."))


def page_times(app: Any, paths: list[str]) -> list[Taken]:
    ask, router = asked_of(app), output_of(app, "page.children")
    return [ask(router, {"url.pathname": path, "url.search": ""}) for path in paths]


def grid_times(app: Any, artifacts: Artifacts, n: int, generator: np.random.Generator) -> list[Taken]:
    """Blocks of the table of features: a random sort, filter and search each, none asked twice."""
    ask, output = asked_of(app), output_of(app, "grid.getRowsResponse")
    numeric = [column.name for column in COLUMNS if not column.is_text and column.name != "feature"]
    stats = artifacts.table("feature_stats")
    there = [name for name in numeric if name in stats.columns]
    times = []
    for number in range(n):
        column = str(generator.choice(there))
        low, high = (stats[column].quantile(q) or 0.0 for q in sorted(generator.random(2)))
        test = str(generator.choice(TESTS))
        request = {
            "startRow": 0,
            "endRow": 100,
            "sortModel": [{"colId": str(generator.choice(numeric)), "sort": ("asc", "desc")[number % 2]}],
            "filterModel": {column: {"type": test, "filter": low, "filterTo": high}},
        }
        search = str(generator.choice(WORDS)) if number % 4 == 0 else ""
        times.append(ask(output, {"grid.getRowsRequest": request, "search.value": search}))
    return times


def browser_times(artifacts: Artifacts, features: list[int]) -> Iterator[Taken]:
    """Seconds from a link to the drawn page, one feature after another in one tab. Each begins at a page
    without figures, so that none is there already."""
    from tests.browser.served import Visit, launched, serving

    with serving(artifacts) as base, launched() as browser:
        visit = Visit(browser.new_page(viewport={"width": 1280, "height": 800}), base)
        visit.open("/feature/0")
        for feature in features:
            visit.page.evaluate("window.dash_clientside.lightwell.visit('/nothing')")
            visit.page.wait_for_selector(".message-page")
            start = time.perf_counter()
            visit.page.evaluate(f"window.dash_clientside.lightwell.visit('/feature/{feature}')")
            visit.page.wait_for_function(DRAWN, arg=str(feature))
            yield Taken(time.perf_counter() - start, 0.0)
        if visit.wrongs:
            raise RuntimeError(visit.wrongs[0])


def line(name: str, taken: list[Taken]) -> str:
    wall = np.quantile([one.wall for one in taken], [0.5, 0.95]) * 1000
    processor = np.quantile([one.processor for one in taken], [0.5, 0.95]) * 1000
    spent = f"{processor[0]:9.1f} {processor[1]:9.1f}" if processor.any() else ""
    return f"{name:40} {len(taken):5} {wall[0]:9.1f} {wall[1]:9.1f} {spent}".rstrip()


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.pages")
    parser.add_argument("model_type", nargs="?", default="ultra", help="a computed model type")
    parser.add_argument("--data-dir", type=Path, help="data directory")
    parser.add_argument("--features", type=int, default=200, help="random features")
    parser.add_argument("--no-browser", action="store_true", help="measure the server alone")
    arguments = parser.parse_args(argv)
    artifacts = open_artifacts(arguments.model_type, arguments.data_dir)
    app = create_app(DashboardSettings(arguments.model_type, data_dir=arguments.data_dir), artifacts)
    generator = np.random.default_rng(0)
    d_sae = artifacts.row_store().d_sae
    features = generator.choice(d_sae, min(arguments.features, d_sae), replace=False).tolist()
    app.server.config["QUERIES"].warm_up()
    page_times(app, [page.shown_at for page in PAGES])
    print(f"{arguments.model_type}: {d_sae:,} features; milliseconds of wall and of processor time")
    print(f"{'':40} {'times':>5} {'wall p50':>9} {'p95':>9} {'cpu p50':>9} {'p95':>9}")
    print(line("feature page, server", page_times(app, [f"/feature/{feature}" for feature in features])))
    print(line("grid: sort, filter and search, server", grid_times(app, artifacts, len(features), generator)))
    for page in PAGES:
        print(line(f"{page.shown_at}, server", page_times(app, [page.shown_at] * 20)), flush=True)
    if not arguments.no_browser:
        print(line("feature page, drawn in a browser", list(browser_times(artifacts, features))))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

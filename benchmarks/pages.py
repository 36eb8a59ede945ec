"""How fast the pages are: `python -m benchmarks.pages ultra --data-dir data`.

Over random features of a computed model type: the time that the server takes for a feature's page and for a
block of the grid, from the request's bytes to the answer's; the time until a browser has drawn a page, its
figures, rows and examples included, from a link within the app; and the time from starting the server's
process to its first answers. Beside wall time stands processor time, which says the same on a machine that
does other work too.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dashboard.columns import COLUMNS
from dashboard.pages import PAGES
from dashboard.server import Server
from dashboard.settings import DashboardSettings
from precompute.command_line import CommandParser, run_command
from precompute.reading import Artifacts, open_artifacts

DRAWN = """(feature) => {
  const title = document.querySelector('#feature-title');
  const figures = Array.from(document.querySelectorAll('.js-plotly-plot'));
  return title && title.innerText === feature && figures.length > 0
    && figures.every((figure) => figure.querySelector('.main-svg'));
}"""
ROWS = "document.querySelector('.ag-row .ag-cell')"
FILLED = {
    "/features": f"() => {ROWS}",
    "/map": f"() => {ROWS} && document.querySelector('#map-figure .main-svg')",
}
"""Pages without a number, and when they are drawn."""
VISITS = 8
"""Of each of these: a browser keeps 16 drawings in WebGL, and says so where one more is made."""
TESTS = ("lessThan", "greaterThan", "inRange")
WORDS = ("the", "return", "\n", "self", "0", "error", " a", "class")


@dataclass(frozen=True)
class Taken:
    """What one answer took."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds of processor time of this process; 0 where another one does the work."""


@dataclass(frozen=True)
class Line:
    """What the answers to one kind of question took."""

    name: str
    taken: list[Taken]

    @property
    def figures(self) -> dict[str, Any]:
        """Milliseconds in the middle and at the 95th percentile."""
        found = {"wall": [one.wall for one in self.taken], "cpu": [one.processor for one in self.taken]}
        return {"name": self.name, "times": len(self.taken)} | {
            f"{kind} p{p}": float(1000 * np.percentile(seconds, p))
            for kind, seconds in found.items()
            if any(seconds)
            for p in (50, 95)
        }

    @property
    def text(self) -> str:
        """As a line of the table."""
        name, times, *milliseconds = self.figures.values()
        return f"{name:40} {times:5} " + " ".join(f"{ms:9.1f}" for ms in milliseconds)


def question(app: Any, output: str, values: dict[str, Any]) -> str:
    """What a browser sends to ask a callback, with values by input."""
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
    return json.dumps(body)


def asked_of(app: Any) -> Callable[[str, dict[str, Any]], Taken]:
    """What asks a callback of the app with values by input, and says what that took."""
    client = app.server.test_client()

    def ask(output: str, values: dict[str, Any]) -> Taken:
        data = question(app, output, values)
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


def first_answers(app: Any, command: list[str], path: str) -> tuple[Taken, Taken]:
    """From the start of a server's process to its first answer, and to the content of a page."""
    from tests.served_command import started

    data = question(app, output_of(app, "page.children"), {"url.pathname": path, "url.search": ""}).encode()
    start = time.perf_counter()
    with started(command) as address:
        with urllib.request.urlopen(address) as answer:
            answer.read()
        first = time.perf_counter() - start
        asked = urllib.request.Request(f"{address}/_dash-update-component", data)
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked) as answer:
            answer.read()
        return Taken(first, 0.0), Taken(time.perf_counter() - start, 0.0)


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


@contextmanager
def a_tab(artifacts: Artifacts) -> Iterator[Callable[[str, str, str | None], Taken]]:
    """A tab of a browser; gives what visits a path from a page without figures, and waits for its content."""
    from tests.browser.served import Visit, launched, serving

    with serving(artifacts) as base, launched() as browser:
        visit = Visit(browser.new_page(viewport={"width": 1280, "height": 800}), base)
        visit.open("/feature/0")

        def timed(path: str, drawn: str, argument: str | None = None) -> Taken:
            visit.page.evaluate("window.dash_clientside.lightwell.visit('/nothing')")
            visit.page.wait_for_selector(".message-page")
            start = time.perf_counter()
            visit.page.evaluate(f"window.dash_clientside.lightwell.visit('{path}')")
            visit.page.wait_for_function(drawn, arg=argument)
            return Taken(time.perf_counter() - start, 0.0)

        yield timed
        if visit.wrongs:
            raise RuntimeError(visit.wrongs[0])


def drawn_in_browser(artifacts: Artifacts, features: list[int]) -> Iterator[Line]:
    """Seconds from a link to the drawn page, one after another in one tab."""
    with a_tab(artifacts) as timed:
        yield Line(
            "feature page, drawn in a browser",
            [timed(f"/feature/{feature}", DRAWN, str(feature)) for feature in features],
        )
        for path, drawn in FILLED.items():
            yield Line(f"{path}, drawn in a browser", [timed(path, drawn) for _ in range(VISITS)])


def measured(arguments: Any) -> Iterator[Line]:
    """Everything, line after line."""
    place = (arguments.model_type, arguments.data_dir, arguments.config)
    artifacts = open_artifacts(*place)
    settings = DashboardSettings(arguments.model_type, data_dir=arguments.data_dir, config=arguments.config)
    server = Server(settings, artifacts)
    app = server.app(settings.model_type)
    generator = np.random.default_rng(0)
    d_sae = artifacts.row_store().d_sae
    features = generator.choice(d_sae, min(arguments.features, d_sae), replace=False).tolist()
    server.warm_up()
    page_times(app, [page.shown_at for page in PAGES])
    yield Line("feature page, server", page_times(app, [f"/feature/{feature}" for feature in features]))
    yield Line("grid: sort, filter and search, server", grid_times(app, artifacts, len(features), generator))
    for page in PAGES:
        yield Line(f"{page.shown_at}, server", page_times(app, [page.shown_at] * 20))
    options = shlex.split(settings.command_options)
    command = [
        sys.executable,
        "-m",
        "dashboard",
        settings.model_type,
        "--no-precompute",
        "--port",
        "0",
        *options,
    ]
    starts = [first_answers(app, command, f"/feature/{feature}") for feature in features[:5]]
    yield Line("from start to the first answer", [first for first, _ in starts])
    yield Line("from start to a feature's page", [page for _, page in starts])
    if not arguments.no_browser:
        yield from drawn_in_browser(artifacts, features)


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("model_type", nargs="?", default="ultra", help="a computed model type")
    parser.add_argument("--data-dir", type=Path, help="data directory")
    parser.add_argument("--config", type=Path, help="TOML file that names the model type")
    parser.add_argument("--features", type=int, default=200, help="random features")
    parser.add_argument("--no-browser", action="store_true", help="measure the server alone")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args(argv)
    print(f"{arguments.model_type}: milliseconds of wall and of processor time")
    print(f"{'':40} {'times':>5} {'wall p50':>9} {'p95':>9} {'cpu p50':>9} {'p95':>9}")
    found = []
    for line in measured(arguments):
        print(line.text, flush=True)
        found.append(line.figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

"""How soon a set of statements is seen: `python -m benchmarks.statements`.

Sets of made vectors, published as commands do: from a link within the app until a browser has drawn their
map with its legend, and until it has filled the table beside it; the first time that a newly started server
is asked for the set, and again. Texts and vectors are made; what is read and drawn depends on their number.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from dashboard.embedded import OpenedSet
from precompute.command_line import CommandParser, run_command
from precompute.corpus.subsets import SIZES

MAP = """() => document.querySelector('#emb-figure .js-plotly-plot .main-svg')
  && document.querySelector('#emb-legend li')"""
TABLE = """() => document.querySelector("#emb-grid .ag-row[row-index='0'] a")"""


def seconds_to_draw(visit: object, opened: OpenedSet) -> tuple[float, float]:
    """Until the map is drawn, and until the table is filled, too; from a page without figures, by a link."""
    from tests.browser.checks_statements import path_of

    page = visit.page  # type: ignore[attr-defined]
    page.evaluate("window.dash_clientside.lightwell.visit('/nothing')")
    page.wait_for_selector(".message-page")
    start = time.perf_counter()
    page.evaluate(f"window.dash_clientside.lightwell.visit('{path_of(opened)}')")
    page.wait_for_function(MAP)
    drawn = time.perf_counter() - start
    page.wait_for_function(TABLE)
    return drawn, time.perf_counter() - start


def main(argv: list[str]) -> int:
    """Print a line for each number of statements."""
    from tests.browser.served import Visit, launched, serving
    from tests.dashboard.made_artifacts import make_artifacts
    from tests.dashboard.made_embeddings import make_embeddings

    options = CommandParser(prog="python -m benchmarks.statements", description=__doc__)
    options.add_argument("--statements", default="1000,10000,100000,500000", help="five numbers at most")
    options.add_argument("--again", type=int, default=5, help="further looks at each set")
    chosen = options.parse_args(argv)
    numbers = [int(n) for n in chosen.statements.split(",")][: len(SIZES)]
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        artifacts = make_artifacts(Path(scratch) / "precomputed_test", n_examples=60)
        made = {}
        for size, n in zip(SIZES, numbers, strict=False):
            texts = [f"made statement number {i} of a benchmark" for i in range(n)]
            made[n] = make_embeddings(artifacts.subject.data_dir, texts, size, d=64)
        print(f"{'':10} {'first look':>17} {'again, median':>19}")
        print(f"{'statements':>10} {'map':>8} {'table':>8}   {'map':>8} {'table':>8}")
        for n, opened in made.items():
            with serving(artifacts) as base:
                visit = Visit(browser.new_page(viewport={"width": 1280, "height": 800}), base)
                visit.open("/")
                first = seconds_to_draw(visit, opened)
                looks = [seconds_to_draw(visit, opened) for _ in range(chosen.again)]
                again = [statistics.median(kind) for kind in zip(*looks, strict=True)]
                visit.page.close()
            times = [f"{seconds:6.2f} s" for seconds in (*first, *again)]
            print(f"{n:10,} {times[0]} {times[1]}   {times[2]} {times[3]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

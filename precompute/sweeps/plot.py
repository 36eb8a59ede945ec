"""The curves of sweeps as a figure: `python -m precompute.sweeps.best_of_k plot RESULTS.json …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from precompute.command_line import CommandParser
from precompute.errors import UsageError
from precompute.sweeps.results import SweepResult, open_sweep

SCORES = {"variance_recovery": "Variance recovered", "r_squared": "R² around the mean vector"}
FORMATS = (".png", ".pdf")


def parser() -> CommandParser:
    """The options of `plot`."""
    options = CommandParser(
        prog="python -m precompute.sweeps.best_of_k plot",
        description="Draw variance recovery against K with intervals, as PNG and PDF; a curve a sweep.",
    )
    options.add_argument(
        "results", type=Path, nargs="+", metavar="RESULTS.json", help="what sweeps have written"
    )
    options.add_argument(
        "--output", type=Path, metavar="FILE", help="default: beside the first results, with its name"
    )
    options.add_argument("--score", choices=tuple(SCORES), default="variance_recovery", help="what is drawn")
    options.add_argument("--title", default="", help="above the figure")
    return options


def main(argv: list[str]) -> int:
    """Draw, and say where."""
    arguments = parser().parse_args(argv)
    runs = [open_sweep(path) for path in arguments.results]
    output = arguments.output or arguments.results[0].with_suffix("")
    for path in draw(runs, output, arguments.score, arguments.title):
        print(path)
    return 0


def draw(
    runs: list[SweepResult], output: Path, score: str = "variance_recovery", title: str = ""
) -> list[Path]:
    """Write the figure as PNG and PDF; returns their paths."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for label, run in zip(labels(runs), runs, strict=True):
        _draw_run(axes, run, score, label)
    ticks = sorted({k for run in runs for k in run.k_values})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set_xlabel("K, explanations of which the best is taken (by oracle)")
    axes.set_ylabel(f"{SCORES[score]} (share)")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    stem = output.name.removesuffix(output.suffix) if output.suffix in FORMATS else output.name
    paths = [output.with_name(stem + ending) for ending in FORMATS]
    for path in paths:
        # Without times in them, so that the same results give the same files.
        figure.savefig(
            path, dpi=160, metadata={"Creator": None, "CreationDate": None} if path.suffix == ".pdf" else {}
        )
    return paths


def labels(runs: list[SweepResult]) -> list[str]:
    """One name for each run: its file's, with the directory's where files share it."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.path.absolute().parent.name}/{run.name}" for run in runs]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise UsageError(f"{repeated.pop()} given more than once", "different results", "give each once")
    return names


def _draw_run(axes: Any, run: SweepResult, score: str, label: str) -> None:
    entries = [entry for entry in run.record["results"] if entry[score]["estimate"] is not None]
    line = axes.plot(
        [e["k"] for e in entries], [e[score]["estimate"] for e in entries], marker="o", ms=4, label=label
    )
    ends = [(e["k"], *found) for e in entries if (found := e[score]["bca"] or e[score]["percentile"])]
    if ends:
        k, low, high = zip(*ends, strict=True)
        axes.fill_between(k, low, high, alpha=0.2, color=line[0].get_color(), lw=0)

"""The figure of sweeps: a score against K, with intervals, one curve and one legend entry for each sweep."""

from __future__ import annotations

from typing import Any

from dashboard.figures import Figure, empty_figure
from dashboard.questions.sweeps import SCORES, SweepRun
from dashboard.token_view import plotly_text

COLOURS = ("#6b7fe8", "#14a37f", "#e8930c", "#d6457f", "#3aa0c9", "#a06bd6", "#8a9a1f", "#b5714a")
HEIGHT = 360


def figure_of(runs: list[SweepRun], score: str) -> Figure:
    """The curves; beside a single one, its nested first-K curve as a dotted line."""
    figure = empty_figure("K, explanations of which the best is taken (log scale)", SCORES[score], HEIGHT)
    for run, colour in zip(runs, COLOURS, strict=False):
        figure["data"] += _traces(run, score, colour)
    if len(runs) == 1:
        figure["data"].append(_nested(runs[0], score, COLOURS[0]))
    ticks = sorted({k for run in runs for k in run.result.k_values})
    layout = figure["layout"]
    layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [str(k) for k in ticks]}
    layout["yaxis"] |= {"tickformat": ".3~g" if score == "mse" else ".0%"}
    layout["showlegend"] = True
    place = {"yanchor": "top", "y": 0.99} if score == "mse" else {"yanchor": "bottom", "y": 0.02}
    layout["legend"] = {"xanchor": "right", "x": 0.99, "bgcolor": "rgba(0,0,0,0)", **place}
    return figure


def _traces(run: SweepRun, score: str, colour: str) -> list[dict[str, Any]]:
    entries = [entry for entry in run.entries if entry[score]["estimate"] is not None]
    k = [entry["k"] for entry in entries]
    ends = [(entry["k"], *pair) for entry in entries if (pair := interval(entry[score])) is not None]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [e[0] for e in ends] + [e[0] for e in reversed(ends)],
        "y": [e[2] for e in ends] + [e[1] for e in reversed(ends)],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.18,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    said = [_said(entry[score], score) for entry in entries]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plotly_text(run.name),
        "x": k,
        "y": [entry[score]["estimate"] for entry in entries],
        "customdata": said,
        "line": {"color": colour, "width": 2},
        "marker": {"size": 7},
        "hovertemplate": f"{plotly_text(run.name)}, K = %{{x}}<br>%{{customdata}}<extra></extra>",
    }
    return [band, line] if ends else [line]


def _nested(run: SweepRun, score: str, colour: str) -> dict[str, Any]:
    entries = [e for e in run.entries if e["first_k"][score]["estimate"] is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "the first K alone",
        "x": [entry["k"] for entry in entries],
        "y": [entry["first_k"][score]["estimate"] for entry in entries],
        "line": {"color": colour, "width": 1.5, "dash": "dot"},
        "hovertemplate": "first K = %{x}: %{y:.4f}<extra></extra>",
    }


def interval(record: dict[str, Any]) -> tuple[float, float] | None:
    """The BCa interval, or else the percentile one; None where none was computed."""
    ends = record["bca"] or record["percentile"]
    return (ends[0], ends[1]) if ends else None


def _said(record: dict[str, Any], score: str) -> str:
    ends = interval(record)
    said = number(record["estimate"], score)
    return f"{said} (95 %: {number(ends[0], score)} to {number(ends[1], score)})" if ends else said


def number(value: float, score: str) -> str:
    """A score as it is shown."""
    return f"{value:.4g}" if score == "mse" else f"{100 * value:.1f} %"


def summary(runs: list[SweepRun], score: str) -> str:
    """The figure in words."""
    parts = []
    for run in runs:
        first, last = run.entries[0], run.entries[-1]
        values = [first[score]["estimate"], last[score]["estimate"]]
        if None not in values:
            parts.append(
                f"{run.name}: {number(values[0], score)} at K = {first['k']}, "
                f"{number(values[1], score)} at K = {last['k']}"
            )
    return f"{SCORES[score]} against K. {'; '.join(parts)}."

"""Figures: records in, Plotly figures out, as the JSON that Plotly draws (building them as objects would take
most of a page's time). They carry no colour scheme; assets/figures.css paints text and lines for light and
dark, so that a switch of the scheme draws nothing anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray

from dashboard import formats
from dashboard.records import BandMark, Effect, Histogram, Pair
from dashboard.token_view import label, plotly_text

Figure: TypeAlias = dict[str, Any]
"""`data` and `layout`, as Plotly reads them."""

ACTIVE, SILENT = "#e8930c", "#98a0ab"
MARK = "#7b8794"
PROMOTED, SUPPRESSED, LOGIT = "#14a37f", "#d6457f", "#6b7fe8"
"""Colours that stand out on white and on near-black alike."""
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
TOKEN_FONT = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
LAYOUT: Any = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT, "size": 12},
    "showlegend": False,
    "hoverlabel": {"bgcolor": "#20252d", "font": {"color": "#ffffff", "family": FONT, "size": 12}},
}
"""What the layouts of all figures share."""
CONFIG: Any = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}
"""For every graph: nothing is sent anywhere."""
TOKENS_IN_BARS = 12
LONGEST_NAME = 28
"""Characters of a token's name beside its bar."""
PIXELS_A_CHARACTER = 7.4
"""Advance of TOKEN_FONT at 12 pixels, with a little to spare."""


def activation_histogram(
    histogram: Histogram,
    with_zero: bool = False,
    log_scale: bool = False,
    marks: Sequence[BandMark] = (),
    chosen: tuple[float, float] | None = None,
    *,
    whole_range: bool = True,
) -> Figure:
    """How often the feature fires how strongly; `with_zero` adds a bar for the rows on which it is silent.

    Bands of examples are marked below, and a range that is `chosen` is shaded; what lies outside the bins is
    seen only with `whole_range`.
    """
    figure = empty_figure("Activation", "Rows (log scale)" if log_scale else "Rows", height=250)
    figure["data"].append(bars(histogram, ACTIVE, "activation", "rows"))
    if with_zero and histogram.zero_bin is None:
        figure["data"].insert(0, _zero_bar(histogram))
    elif with_zero:
        figure["data"].append(_zero_bar(histogram))
        figure["layout"]["barmode"] = "stack"
    if log_scale:
        largest = int(histogram.counts.max(initial=1))
        _log_counts(figure, max(largest, histogram.n_zero) if with_zero else largest)
    if not whole_range:
        edges = histogram.bin_edges.tolist()
        figure["layout"]["xaxis"]["range"] = [edges[0], edges[-1]]
    if marks:
        _mark_bands(figure, marks, float(histogram.bin_edges[0]))
    if chosen:
        figure["layout"]["shapes"] = [_shade(*chosen)]
    return figure


def _mark_bands(figure: Figure, marks: Sequence[BandMark], lowest: float) -> None:
    """A strip below the bars with a mark where each band begins, quantile bands above value bands."""
    kinds = sorted({mark.name[0] for mark in marks}, reverse=True)
    figure["data"].append(
        {
            "type": "scatter",
            "mode": "markers",
            "yaxis": "y2",
            "x": [max(mark.low, lowest) for mark in marks],
            "y": [kinds.index(mark.name[0]) for mark in marks],
            "customdata": [
                f"{mark.name.upper()}: {formats.decimal(max(mark.low, lowest), 4)} to "
                f"{formats.decimal(mark.high, 4)}"
                for mark in marks
            ],
            "marker": {"symbol": "line-ns-open", "size": 9, "color": MARK, "line": {"width": 1.5}},
            "hovertemplate": "band %{customdata}<extra></extra>",
        }
    )
    figure["layout"]["yaxis"]["domain"] = [0.18, 1]
    figure["layout"]["xaxis"]["anchor"] = "y2"
    figure["layout"]["yaxis2"] = {
        **_axis(""),
        "domain": [0, 0.14],
        "range": [-0.6, 1.6],
        "fixedrange": True,
        "showgrid": False,
        "tickvals": list(range(len(kinds))),
        "ticktext": [kind.upper() for kind in kinds],
    }


def _shade(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": low,
        "x1": high,
        "y0": 0,
        "y1": 1,
        "line": {"width": 0},
        "fillcolor": "rgba(107, 127, 232, 0.22)",
        "layer": "below",
    }


def _zero_bar(histogram: Histogram) -> dict[str, Any]:
    """A bar two bins wide, clear of the first bin, which may begin close to 0; or on top of its own bin."""
    edges = histogram.bin_edges
    width = float(edges[1] - edges[0]) if len(edges) > 1 else 1.0
    right = min(0.0, float(edges[0]) - width) if len(edges) else 0.0
    apart = histogram.zero_bin is None
    middle = right - width if histogram.zero_bin is None else float(edges[histogram.zero_bin]) + width / 2
    return {
        "type": "bar",
        "x": [middle],
        "y": [histogram.n_zero],
        "width": [2 * width if apart else width],
        "marker": {"color": SILENT, "line": {"width": 0}},
        "hovertemplate": "silent (activation 0)<br>%{y:,} rows<extra></extra>",
    }


def scatter(pair: Pair, places: Sequence[tuple[int, int]]) -> Figure:
    """Two features over the rows on which either fires; `places` are each dot's example and token."""
    figure = empty_figure(
        f"Activation of feature {pair.feature}", f"Activation of feature {pair.other}", height=320
    )
    # Rows that are whole examples stand at no token.
    at = "" if any(position < 0 for _, position in places) else ", token %{customdata[1]}"
    both = (pair.first != 0) & (pair.second != 0)
    figure["data"].append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": _rounded(pair.first),
            "y": _rounded(pair.second),
            "customdata": [[*place, pair.other] for place in places],
            "marker": {
                "size": 5,
                "opacity": 0.55,
                "color": [LOGIT if together else SILENT for together in both.tolist()],
            },
            "hovertemplate": f"feature {pair.feature}: %{{x}}<br>feature {pair.other}: %{{y}}<br>"
            f"example %{{customdata[0]}}{at}<extra></extra>",
        }
    )
    figure["layout"]["xaxis"] |= {"rangemode": "tozero", "showgrid": True}
    figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return figure


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """Five digits, which is finer than a pixel."""
    return [float(f"{value:.5g}") for value in values.tolist()]


def logit_histogram(histogram: Histogram) -> Figure:
    """How the feature's logit effects are spread over the vocabulary; always with a log scale."""
    figure = empty_figure("Logit effect (logits per unit of activation)", "Tokens (log scale)", height=190)
    figure["data"].append(bars(histogram, LOGIT, "effect", "tokens"))
    _log_counts(figure, int(histogram.counts.max(initial=1)))
    return figure


def bars(histogram: Histogram, colour: str, value: str, unit: str) -> dict[str, Any]:
    """Bars as wide as their bins."""
    edges = histogram.bin_edges
    return {
        "type": "bar",
        "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "y": histogram.counts.tolist(),
        "width": np.diff(edges).tolist(),
        "customdata": [[f"{a:.4g}", f"{b:.4g}", f"{a!r}:{b!r}"] for a, b in pairwise(edges.tolist())],
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": value
        + " %{customdata[0]} to %{customdata[1]}<br>%{y:,} "
        + f"{unit}<extra></extra>",
    }


def token_bars(promoted: Sequence[Effect], suppressed: Sequence[Effect]) -> Figure:
    """The strongest tokens each way, as bars to the right and to the left of zero."""
    ways = ((promoted[:TOKENS_IN_BARS], PROMOTED), (suppressed[:TOKENS_IN_BARS][::-1], SUPPRESSED))
    bars = [(effect, colour) for effects, colour in ways for effect in effects]
    names = [plotly_text(label(effect.token)) for effect, _ in bars]
    figure = empty_figure("Logits per unit of activation", "Token", height=64 + 18 * len(bars))
    figure["data"].append(
        {
            "type": "bar",
            "orientation": "h",
            "x": [effect.influence for effect, _ in bars],
            "y": list(range(len(bars))),
            "customdata": names,
            "marker": {"color": [colour for _, colour in bars], "line": {"width": 0}},
            "hovertemplate": "%{customdata}<br>%{x:.4f} logits per unit of activation<extra></extra>",
        }
    )
    figure["layout"]["yaxis"] |= {
        "tickvals": list(range(len(bars))),
        "ticktext": [_shortened(name) for name in names],
        "tickfont": {"family": TOKEN_FONT, "size": 12},
        "autorange": "reversed",
        "showgrid": False,
    }
    figure["layout"]["xaxis"] |= {"showgrid": True, "zeroline": True}
    figure["layout"]["bargap"] = 0.22
    longest = max((shown_width(effect.token) for effect, _ in bars), default=0)
    figure["layout"]["margin"]["l"] = 40 + round(PIXELS_A_CHARACTER * longest)
    return figure


def shown_width(token: str) -> int:
    """Columns that a token's label takes in a fixed-width font; wide characters take two."""
    shown = label(token)[: LONGEST_NAME + 1]
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in shown)


def _shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """A long name cut, but never inside an escape."""
    if len(name) <= longest:
        return name
    cut = name[:longest]
    return cut[: cut.rfind("&")] + "…" if cut.rfind("&") > cut.rfind(";") else cut + "…"


def _log_counts(figure: Figure, largest: int) -> None:
    """A log scale that begins below 1, so that a bar of one row is seen."""
    span = [float(np.log10(0.6)), float(np.log10(max(largest, 2))) * 1.05]
    figure["layout"]["yaxis"] |= {"type": "log", "dtick": 1, "range": span}


def empty_figure(x_title: str, y_title: str, height: int) -> Figure:
    """A figure without data in the house's style; `height` in pixels."""
    layout = {
        **LAYOUT,
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 8, "b": 46},
        "bargap": 0,
        "xaxis": {**_axis(x_title), "showgrid": False},
        "yaxis": {**_axis(y_title), "tickformat": ",~s"},
    }
    return {"data": [], "layout": layout}


def _axis(title: str) -> dict[str, Any]:
    return {
        # Plotly may give up on finding margins by itself, with a warning, and what it finds moves the page.
        "automargin": False,
        "zeroline": False,
        "tickfont": {"size": 11},
        "title": {"text": title, "font": {"size": 12}, "standoff": 10},
    }


def summary(histogram: Histogram, unit: str, name: Callable[[float], str] = formats.decimal) -> str:
    """A figure in one sentence, for those who do not see it; `name` writes a value of its axis."""
    if not len(histogram.counts):
        return f"No {unit} to count."
    peak = int(np.argmax(histogram.counts))
    edges = [name(float(edge)) for edge in histogram.bin_edges]
    total, most = int(histogram.counts.sum()), int(histogram.counts[peak])
    return (
        f"{total:,} {unit} in {len(histogram.counts)} bins from {edges[0]} to {edges[-1]}; "
        f"most, {most:,}, between {edges[peak]} and {edges[peak + 1]}."
    )

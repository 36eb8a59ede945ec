"""The figure of the map: features as points, in the colours that a person chose. Arrays are packed, since
lists of 24,576 numbers would take most of the page's time."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard import formats
from dashboard.figures import ACTIVE, CONFIG, LAYOUT, PROMOTED, SILENT, SUPPRESSED, Figure
from dashboard.token_view import plotly_text

HEIGHT = 640
PALETTE = (
    "#4f7be8",
    "#e8930c",
    "#14a37f",
    "#d6457f",
    "#8c6be0",
    "#1aa3c4",
    "#c06a1f",
    "#6f9a1f",
    "#c94fc0",
    "#b59a10",
    "#e0604f",
)
"""Colours of clusters, that stand out on white and on near-black; they repeat."""
RARE_TO_FREQUENT = ("#5f55cf", "#2b95cc", "#14a37f", "#e8b90c")
MAP_CONFIG: Any = {
    **CONFIG,
    "scrollZoom": True,
    "displayModeBar": True,
    "modeBarButtonsToRemove": ["autoScale2d", "zoom2d"],
}
"""The map can be moved and zoomed, and an area be chosen on it."""
ALL, LIT, SELECTED, AREA = range(4)
"""Places of the traces in the figure."""
LONGEST_CATEGORY = 24
"""Characters of a category's name beside its colour."""
LABELLED_EMPHASIS = 0.5
"""How much larger labelled features are drawn: few among thousands would be lost."""
DIMMED = 0.13
"""Opacity of the others, where some light up."""


@dataclass(frozen=True)
class Painted:
    """A number for each point, and the colours that numbers have."""

    values: NDArray[Any]
    """[n_points], float32, or uint8 for colours of kinds"""
    scale: list[list[Any]]
    """Stops from 0 to 1 with their colours, as Plotly reads them."""
    lowest: float
    highest: float
    title: str = ""
    """Of the colour bar; empty for none."""
    ticks: dict[str, Any] = field(default_factory=dict)
    emphasis: NDArray[np.float32] | None = None
    """[n_points]: from 0 to 1, how much larger each point is; None for all alike."""


def by_cluster(points: pl.DataFrame) -> Painted:
    """A colour for each cluster, grey for none."""
    cluster = points["cluster"].to_numpy()
    n = len(PALETTE)
    values = np.where(cluster >= 0, 1 + cluster % n, 0).astype(np.float32)
    return Painted(values, [[i / n, colour] for i, colour in enumerate((SILENT, *PALETTE))], 0, n)


def by_frequency(points: pl.DataFrame) -> Painted:
    """From rare to frequent on a log scale, grey for silent features."""
    share = points["frac_active"].fill_null(0).to_numpy()
    firing = share > 0
    logs = np.log10(share, where=firing, out=np.zeros(len(share)))
    first = float(np.floor(logs[firing].min())) if firing.any() else -1.0
    last = float(np.ceil(logs[firing].max() * 2) / 2) if firing.any() else 0.0
    last = max(last, first + 0.5)
    start = (last - first) / 12
    values = np.where(firing, logs, first - start).astype(np.float32)
    edge = start / (last - first + start)
    stops = [edge + (1 - edge) * i / (len(RARE_TO_FREQUENT) - 1) for i in range(len(RARE_TO_FREQUENT))]
    scale = [[0, SILENT], [edge * 0.9, SILENT], [edge * 0.9, RARE_TO_FREQUENT[0]]]
    scale += [list(stop) for stop in zip(stops, RARE_TO_FREQUENT, strict=True)]
    powers = [float(power) for power in range(int(first), int(np.floor(last)) + 1)]
    ticks = {
        "tickvals": [first - start, *powers],
        "ticktext": ["never", *(formats.short_share(10**power) for power in powers)],
    }
    return Painted(values, scale, first - start, last, "Share of rows (log scale)", ticks)


def by_category(points: pl.DataFrame, categories: Mapping[str, NDArray[np.int64]]) -> Painted:
    """A colour for each category of labels (int64 features each), grey for features without a label.

    As many categories as there are colours, the last standing for all that are rarer.
    """
    features, n = points["feature"].to_numpy(), min(len(categories), len(PALETTE))
    values = np.zeros(len(points), np.float32)
    for place, (_, chosen) in enumerate(categories.items()):
        values[np.isin(features, chosen)] = 1 + min(place, len(PALETTE) - 1)
    names = [plotly_text(name[:LONGEST_CATEGORY]) or "no category" for name in categories][:n]
    if len(categories) > n:
        names[-1] = f"{len(categories) - n + 1} more"
    colours = (SILENT, *PALETTE[:n])
    edges = np.linspace(0, 1, len(colours) + 1)
    scale = [[edge, colour] for pair, colour in zip(pairwise(edges), colours, strict=True) for edge in pair]
    ticks = {"tickvals": list(range(n + 1)), "ticktext": ["no label", *names]}
    emphasis = (values > 0).astype(np.float32) * LABELLED_EMPHASIS
    return Painted(values, scale, -0.5, n + 0.5, "Category of the label", ticks, emphasis)


def by_similarity(points: pl.DataFrame, cosines: NDArray[np.float32], feature: int) -> Painted:
    """From opposed to alike; the more, the larger. `cosines` is float32 [d_sae]."""
    values = np.nan_to_num(cosines[points["feature"].to_numpy()])
    others = np.abs(values[points["feature"].to_numpy() != feature])
    most = max(float(others.max(initial=0.0)), 0.05)
    scale = [[0, SUPPRESSED], [0.5, SILENT], [1, PROMOTED]]
    emphasis = np.clip(np.abs(values) / most, 0, 1) ** 2
    return Painted(values, scale, -most, most, f"Cosine with {feature}", {}, emphasis.astype(np.float32))


def unpainted(points: pl.DataFrame) -> Painted:
    """All alike, where what would colour them is not there."""
    return Painted(np.zeros(len(points), np.float32), [[0, SILENT], [1, SILENT]], 0, 1)


def map_figure(
    points: pl.DataFrame, paint: Painted, shown: NDArray[np.int64] | None, selected: int | None, area: Any
) -> Figure:
    """The whole map. `points` are rows of the map's table that have a place; `shown` the places among them of
    those that light up, None for all; `selected` the place of one, `area` corners."""
    return framed(traces(points, paint, shown, selected, area))


def framed(data: list[dict[str, Any]]) -> Figure:
    """A map of some traces."""
    return {
        "data": data,
        "layout": {
            **LAYOUT,
            "height": HEIGHT,
            "margin": {"l": 40, "r": 8, "t": 8, "b": 40},
            "dragmode": "pan",
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#7c8796", "activecolor": ACTIVE},
            "uirevision": "map",
            "selections": [],
            "xaxis": _axis("Map, horizontal (no unit)"),
            "yaxis": {**_axis("Map, vertical (no unit)"), "scaleanchor": "x"},
        },
    }


def traces(
    points: pl.DataFrame, paint: Painted, shown: NDArray[np.int64] | None, selected: int | None, area: Any
) -> list[dict[str, Any]]:
    """The layers of a map of features, whose points say which feature they are."""
    found = layers(points, paint, shown, selected, area)
    named = (points, points[shown] if shown is not None else points.clear())
    for trace, of_trace in zip(found[: LIT + 1], named, strict=True):
        # Plainly: of a packed array Dash tells a click nothing.
        trace["customdata"] = of_trace["feature"].to_list()
        trace["hovertemplate"] = "feature %{customdata}<br>%{text}<extra></extra>"
    every = found[ALL]
    every["text"] = [plotly_text(text or "") for text in points["promotes"]] if "promotes" in points else []
    return found


def layers(
    points: pl.DataFrame, paint: Painted, shown: NDArray[np.int64] | None, selected: int | None, area: Any
) -> list[dict[str, Any]]:
    """All points, those that light up, the selected one, and the outline of the area."""
    chosen = np.zeros(0, np.int64) if shown is None else shown
    every = _points(points, marker(paint, np.arange(len(points))), 1.0 if shown is None else DIMMED)
    lights = _points(points[chosen], marker(paint, chosen, extra=2.5, bar=False), 1.0)
    lights["hoverinfo"] = "skip"
    return [every, lights, ring(points, selected), outline(area)]


def marker(paint: Painted, places: NDArray[np.int64], extra: float = 0, bar: bool = True) -> dict[str, Any]:
    """How some of the points are drawn."""
    base = float(np.clip(560 / np.sqrt(max(len(paint.values), 1)), 3.2, 8)) + extra
    size: Any = base
    if paint.emphasis is not None:
        size = packed((base + 6 * paint.emphasis[places]).astype(np.float32))
    found = {
        "color": packed(paint.values[places]),
        "colorscale": paint.scale,
        "cmin": paint.lowest,
        "cmax": paint.highest,
        "size": size,
        "line": {"width": 0},
        "showscale": bool(bar and paint.title),
    }
    if found["showscale"]:
        found["colorbar"] = {
            "title": {"text": paint.title, "side": "right", "font": {"size": 12}},
            "thickness": 10,
            # Below the buttons of the figure.
            "len": 0.9,
            "y": 0.45,
            "outlinewidth": 0,
            "tickfont": {"size": 11},
            **paint.ticks,
        }
    return found


def _points(points: pl.DataFrame, drawn: dict[str, Any], opacity: float) -> dict[str, Any]:
    same = {"marker": {"opacity": opacity}}
    return {
        "type": "scattergl",
        "mode": "markers",
        "x": packed(points["x"].to_numpy().astype(np.float32)),
        "y": packed(points["y"].to_numpy().astype(np.float32)),
        "marker": {**drawn, "opacity": opacity},
        # What lights up is drawn as a trace of its own; Plotly's own way of it would dim that one too.
        "selected": same,
        "unselected": same,
    }


def ring(points: pl.DataFrame, selected: int | None) -> dict[str, Any]:
    """A ring around the selected feature."""
    one = points.clear() if selected is None else points[selected : selected + 1]
    return {
        "type": "scattergl",
        "mode": "markers",
        "x": one["x"].to_list(),
        "y": one["y"].to_list(),
        "marker": {"symbol": "circle-open", "size": 18, "color": ACTIVE, "line": {"width": 3}},
        "hoverinfo": "skip",
    }


def outline(area: Any) -> dict[str, Any]:
    """The area that was chosen."""
    corners = [*area, *area[:1]]
    return {
        "type": "scattergl",
        "mode": "lines",
        "x": [x for x, _ in corners],
        "y": [y for _, y in corners],
        "line": {"color": ACTIVE, "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
    }


def packed(values: NDArray[Any]) -> dict[str, str]:
    """An array as Plotly reads it without parsing numbers."""
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    return {"dtype": kind, "bdata": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")}


def _axis(title: str) -> dict[str, Any]:
    return {
        "automargin": False,
        "zeroline": False,
        "showgrid": False,
        "showticklabels": True,
        "tickfont": {"size": 10},
        "title": {"text": title, "font": {"size": 11}, "standoff": 6},
    }

"""The figure of the map of statements: points up to a number, and an image of their density above it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard import formats, raster
from dashboard.address import AddressError, shortened
from dashboard.figures import SILENT, Figure
from dashboard.map_figure import (
    ALL,
    PALETTE,
    RARE_TO_FREQUENT,
    Painted,
    framed,
    layers,
    packed,
)
from dashboard.raster import Window

MOST_POINTS = 100_000
"""Points that are drawn one by one; more become an image."""
MOST_IN_VIEW = 20_000
"""Of more points, those in view that are drawn one by one."""
USUAL_PLOT = (720, 590)
"""Pixels of the plot, where the browser has not said yet."""
PIXELS_A_CELL = 2
MOST_PIXELS = 4096
MARGIN = 0.03
"""Of the extent, left free around all points."""
DIMMED_IMAGE = 0.35
"""Opacity of what does not light up, in an image."""
SMALLER = -0.35
"""Emphasis of points without a number."""
KINDS = len(PALETTE)
"""Kinds with a colour of their own in a legend; the last stands for all that are rarer."""


@dataclass(frozen=True)
class Kind:
    """One colour of a legend."""

    name: str
    colour: str
    n: int


@dataclass(frozen=True)
class StatementPaint:
    """The colours of all statements, and what they mean."""

    painted: Painted
    legend: tuple[Kind, ...] = ()
    """Where colours stand for kinds; numbers have a colour bar."""


# Colours.


def by_kind(values: pl.Series, none: str) -> StatementPaint:
    """A colour for each of the most frequent values, the last for all others; grey, `none`, for null."""
    texts = values.cast(pl.String, strict=False)
    counts = texts.drop_nulls().value_counts(sort=True).sort("count", texts.name, descending=[True, False])
    names = counts[texts.name].to_list()
    n_own = len(names) if len(names) <= KINDS else KINDS - 1
    place = {name: 1 + min(i, KINDS - 1) for i, name in enumerate(names)}
    numbers = texts.replace_strict(place, default=0, return_dtype=pl.UInt8).fill_null(0).to_numpy()
    sizes = np.bincount(numbers, minlength=KINDS + 1)
    shown = list(zip(names[:n_own], PALETTE, strict=False))
    if len(names) > n_own:
        shown.append((f"{len(names) - n_own:,} others", PALETTE[KINDS - 1]))
    legend = [Kind(name, colour, int(sizes[i + 1])) for i, (name, colour) in enumerate(shown)]
    if sizes[0]:
        legend.append(Kind(none, SILENT, int(sizes[0])))
    scale: list[list[Any]] = [[i / KINDS, colour] for i, colour in enumerate((SILENT, *PALETTE))]
    return StatementPaint(Painted(numbers.astype(np.uint8), scale, 0, KINDS), tuple(legend))


def by_number(
    values: NDArray[np.floating], title: str, log_scale: bool = False, none: str = "none"
) -> StatementPaint:
    """From low to high, and the larger; small and grey, `none`, where there is no number."""
    wide = np.asarray(values, dtype=np.float64)
    usable = np.isfinite(wide) & ((wide > 0) | (not log_scale))
    if log_scale:
        wide = np.log10(wide, where=usable, out=np.zeros(len(wide)))
    first = float(wide[usable].min()) if usable.any() else 0.0
    last = float(wide[usable].max()) if usable.any() else 1.0
    size = max(abs(first), abs(last))
    if last - first <= 1e-6 * max(size, 1e-12):  # Finer than colours can show.
        last = first + max(size, 1.0)
    edge = 1 / 13
    start = (last - first) / 12
    shown = np.where(usable, wide, first - start).astype(np.float32)
    steps = [edge + (1 - edge) * i / (len(RARE_TO_FREQUENT) - 1) for i in range(len(RARE_TO_FREQUENT))]
    scale: list[list[Any]] = [[0, SILENT], [edge * 0.9, SILENT], [edge * 0.9, RARE_TO_FREQUENT[0]]]
    scale += [list(stop) for stop in zip(steps, RARE_TO_FREQUENT, strict=True)]
    marks = np.linspace(first, last, 5)
    words = [formats.decimal(float(10**mark if log_scale else mark)) for mark in marks]
    absent = [] if usable.all() else [first - start]
    ticks = {
        "tickvals": [*absent, *marks.tolist()],
        "ticktext": [*(none for _ in absent), *words],
    }
    lowest = first - start if absent else first
    if not absent:
        scale = [[i / (len(RARE_TO_FREQUENT) - 1), colour] for i, colour in enumerate(RARE_TO_FREQUENT)]
    emphasis = None
    if absent:  # The few that have a number would be lost among the others.
        emphasis = np.where(usable, (wide - first) / (last - first), SMALLER).astype(np.float32)
    return StatementPaint(Painted(shown, scale, lowest, last, title, ticks, emphasis))


def plain(n: int) -> StatementPaint:
    """All alike, where what would colour them is not known."""
    return StatementPaint(Painted(np.zeros(n, np.uint8), [[0, SILENT], [1, SILENT]], 0, 1))


def rgb(paint: Painted) -> NDArray[np.uint8]:
    """uint8 [n, 3]: the colour of each point."""
    stops = np.array([stop for stop, _ in paint.scale], dtype=np.float64)
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in paint.scale])
    places = (paint.values.astype(np.float64) - paint.lowest) / (paint.highest - paint.lowest)
    channels = [np.interp(places, stops, colours[:, channel]) for channel in range(3)]
    mixed: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return mixed


# The figure.


@dataclass(frozen=True)
class Shown:
    """What is drawn at one view."""

    points: pl.DataFrame
    """x and y of every statement, in the order of the rows."""
    paint: StatementPaint
    colours: NDArray[np.uint8] | None
    """[n, 3], for an image; None where points are drawn one by one."""
    lit: NDArray[np.int64] | None
    """Rows that light up; None for all."""
    selected: int | None
    area: Any

    @property
    def is_image(self) -> bool:
        """Whether there are too many points to draw each."""
        return self.colours is not None

    @property
    def places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y, float32 [n]."""
        x, y = (self.points[axis].cast(pl.Float32).fill_null(np.nan).to_numpy() for axis in ("x", "y"))
        return x, y


def figure(shown: Shown) -> Figure:
    """The whole map."""
    if not shown.is_image:
        return framed(traces(shown))
    found = framed(at_window(shown, whole(*shown.places)))
    window = whole(*shown.places)
    found["layout"]["images"] = [drawn(shown, window)]
    found["layout"]["xaxis"]["range"] = [window.left, window.right]
    found["layout"]["yaxis"]["range"] = [window.low, window.high]
    return found


def traces(shown: Shown) -> list[dict[str, Any]]:
    """Points one by one; a point's number in the figure is its row."""
    found = layers(shown.points, shown.paint.painted, shown.lit, shown.selected, shown.area)
    found[ALL]["hoverinfo"] = "none"
    return found


def at_window(shown: Shown, window: Window) -> list[dict[str, Any]]:
    """The layers above an image: points one by one where few enough are in view, each with its row."""
    x, y = shown.places
    rows = raster.cells(x, y, window)[0]
    if len(rows) > MOST_IN_VIEW:
        rows = np.zeros(0, np.int64)
    seen = shown.points[rows]
    paint = shown.paint.painted
    emphasis = None if paint.emphasis is None else paint.emphasis[rows]
    part = Painted(
        paint.values[rows], paint.scale, paint.lowest, paint.highest, paint.title, paint.ticks, emphasis
    )
    lit = None if shown.lit is None else np.flatnonzero(np.isin(rows, shown.lit))
    found = layers(seen, part, lit, None, shown.area)
    if shown.selected is not None:
        one = shown.points[shown.selected : shown.selected + 1]
        found[2] = {**found[2], "x": one["x"].to_list(), "y": one["y"].to_list()}
    every = found[ALL]
    every["hoverinfo"] = "none"
    every["meta"] = {"rows": packed(rows.astype(np.uint32))}
    if not len(rows):
        # Plotly offers lasso and box only where there is a point to choose.
        corner = {"x": [window.left, window.right], "y": [window.low, window.high]}
        every |= {**corner, "hoverinfo": "skip", "meta": None}
        every["marker"] = {**every["marker"], "opacity": 0, "color": [paint.lowest, paint.highest]}
    return found


def drawn(shown: Shown, window: Window) -> dict[str, Any]:
    """The image below the points; empty where the points are drawn one by one."""
    x, y = shown.places
    colours = shown.colours
    assert colours is not None
    n_seen = len(raster.cells(x, y, window)[0])
    if n_seen <= MOST_IN_VIEW:
        pixels = np.zeros((1, 1, 4), np.uint8)
    else:
        pixels = raster.image(x, y, colours, window, 1.0 if shown.lit is None else DIMMED_IMAGE)
        if shown.lit is not None:
            rows = shown.lit
            pixels = raster.laid_over(pixels, raster.image(x[rows], y[rows], colours[rows], window))
    return {
        "source": raster.data_address(pixels),
        "xref": "x",
        "yref": "y",
        "x": window.left,
        "y": window.high,
        "sizex": window.right - window.left,
        "sizey": window.high - window.low,
        "sizing": "stretch",
        "layer": "below",
    }


def whole(x: NDArray[np.float32], y: NDArray[np.float32]) -> Window:
    """The window of all points, at the proportions that a plot usually has."""
    if not np.isfinite(x).any():
        return Window(0, 1, 0, 1, 1, 1)
    middle = [(float(np.nanmin(axis)) + float(np.nanmax(axis))) / 2 for axis in (x, y)]
    extent = [max(float(np.nanmax(axis)) - float(np.nanmin(axis)), 1e-6) for axis in (x, y)]
    unit = max(size / pixels for size, pixels in zip(extent, USUAL_PLOT, strict=True)) * (1 + 2 * MARGIN)
    half = [unit * pixels / 2 for pixels in USUAL_PLOT]
    n_columns, n_rows = (pixels // PIXELS_A_CELL for pixels in USUAL_PLOT)
    return Window(
        middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1], n_columns, n_rows
    )


def window_of(value: object) -> Window | None:
    """The window that a browser looks at, `{x: [from, to], y: [from, to], pixels: [wide, high]}`; None for
    none yet. Raises AddressError for what is no window."""
    if value is None:
        return None
    given: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    try:
        numbers = [float(given[name][i]) for name in ("x", "y", "pixels") for i in (0, 1)]
    except (KeyError, IndexError, TypeError, ValueError):
        numbers = [math.nan]
    left, right, low, high, *pixels = (*numbers, 0.0)[:6] if len(numbers) == 6 else (math.nan,) * 6
    usable = all(math.isfinite(number) for number in numbers) and left < right and low < high
    if not usable or not all(0 < size <= MOST_PIXELS for size in pixels):
        raise AddressError(f"a view {shortened(value)}", "a part of the map", "reload the page")
    n_columns, n_rows = (max(1, int(size) // PIXELS_A_CELL) for size in pixels)
    return Window(left, right, low, high, n_columns, n_rows)

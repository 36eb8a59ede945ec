"""What the points of the map of statements are coloured by, and their legend."""

from __future__ import annotations

from typing import Any

import numpy as np
from dash import html

from dashboard import formats, statement_figure
from dashboard.embedded import OpenedSet
from dashboard.queries import Queries
from dashboard.questions.statement_features import activation, version
from dashboard.questions.statements import COLUMN, StatementView, density
from dashboard.statement_figure import StatementPaint
from dashboard.token_view import visible
from precompute.errors import LightwellError

COLOUR_NAMES = {"cluster": "Cluster", "density": "Density weight", "feature": "SAE feature"}
LONGEST_KIND = 200
LOG_RATIO = 50
"""Numbers that are all positive and differ by more are coloured by their logarithm."""
FEW_NUMBERS = 12
"""Whole numbers that take no more values count as kinds."""


def colour_words(colour: str) -> str:
    """A thing that points can be coloured by, for people."""
    return COLOUR_NAMES.get(colour) or visible(colour.removeprefix(COLUMN), keep_spaces=True)


def painted(queries: Queries, opened: OpenedSet, view: StatementView) -> StatementPaint:
    """All statements in the colours of a view; grey where what would colour them is not there."""
    question = ("statement paint", opened.name, view.colour, view.feature)
    known = version(queries, opened)
    try:
        return queries.tables.memo.get(question, known, lambda: _painted(queries, opened, view))
    except LightwellError:
        return statement_figure.plain(opened.n)


def _painted(queries: Queries, opened: OpenedSet, view: StatementView) -> StatementPaint:
    if view.colour == "cluster":
        names = dict(opened.clusters.select("cluster", "named").iter_rows())
        values = opened.points["cluster"].replace_strict(names, default=None)
        return statement_figure.by_kind(values, "in no cluster")
    if view.colour == "density":
        title = "Density weight, uniform shares (log scale)"
        return statement_figure.by_number(density(queries, opened), title, log_scale=True)
    if view.colour == "feature":
        if view.feature is None:
            return statement_figure.plain(opened.n)
        acts = activation(queries, opened, view.feature)
        return statement_figure.by_number(acts, f"Greatest activation of {view.feature}", none="unknown")
    return _by_column(opened, view.colour.removeprefix(COLUMN))


def _by_column(opened: OpenedSet, name: str) -> StatementPaint:
    values = opened.column(name)
    if not values.dtype.is_numeric() or values.n_unique() <= FEW_NUMBERS:
        return statement_figure.by_kind(values, "no value")
    numbers = values.cast(float).fill_null(np.nan).to_numpy()
    known = numbers[np.isfinite(numbers)]
    log_scale = bool(len(known) and known.min() > 0 and known.max() > LOG_RATIO * known.min())
    title = colour_words(COLUMN + name) + (" (log scale)" if log_scale else "")
    return statement_figure.by_number(numbers, title, log_scale)


def legend(paint: StatementPaint) -> Any:
    """What colours stand for, where they stand for kinds."""
    return [
        html.Li(
            [
                html.Span(className="kind-colour", style={"background": kind.colour}),
                html.Span(visible(kind.name, keep_spaces=True, longest=LONGEST_KIND), className="kind-name"),
                html.Span(formats.count(kind.n), className="kind-count"),
            ]
        )
        for kind in paint.legend
    ]

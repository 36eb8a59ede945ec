"""The numbers of a figure as a table, on demand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import dash_mantine_components as dmc
from dash import html

from dashboard import formats
from dashboard.components.browser import spoken
from dashboard.records import Histogram


def data_table(headings: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> html.Details:
    """A table that is closed at first; one component, however many rows."""
    table = dmc.Table(
        data={"head": list(headings), "body": [list(row) for row in rows]},
        className="plain-table number-table",
        **spoken(name),
    )
    scrolled = html.Div(table, className="table-scroll", tabIndex=0)
    return html.Details([html.Summary("Data"), scrolled], className="figure-data")


def histogram_table(histogram: Histogram, value: str, unit: str) -> html.Details:
    """A histogram's bins, and its zeros where it has any: apart, or in the bin in which they are shown."""
    counts = histogram.counts.copy()
    if histogram.zero_bin is not None:
        counts[histogram.zero_bin] += histogram.n_zero
    bins = zip(pairwise(histogram.bin_edges.tolist()), counts.tolist(), strict=True)
    rows = [[formats.decimal(a, 4), formats.decimal(b, 4), formats.count(n)] for (a, b), n in bins]
    if histogram.n_zero and histogram.zero_bin is None:
        rows.insert(0, ["0", "0", formats.count(histogram.n_zero)])
    return data_table([f"{value} from", "to", unit], rows, f"{value}: data of the figure")

"""Figures: records in, Plotly figures out. They carry no colour scheme; assets/figures.css paints text and
lines for light and dark, so that a switch of the scheme draws nothing anew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard import formats
from dashboard.records import Effect, FrequencyDistribution, Histogram
from dashboard.token_view import label, plotly_text

ACTIVE, SILENT = "#e8930c", "#98a0ab"
PROMOTED, SUPPRESSED, LOGIT = "#14a37f", "#d6457f", "#6b7fe8"
"""Colours that stand out on white and on near-black alike."""
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
TOKEN_FONT = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
CONFIG: Any = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}
"""For every graph: nothing is sent anywhere."""
TOKENS_IN_BARS = 12


def activation_histogram(histogram: Histogram, with_zero: bool = False, log_scale: bool = False) -> go.Figure:
    """How often the feature fires how strongly; `with_zero` adds a bar for the rows on which it is silent."""
    edges, counts = histogram.bin_edges, histogram.counts
    figure = _figure("Activation", "Rows (log scale)" if log_scale else "Rows", height=230)
    width = float(edges[1] - edges[0]) if len(edges) > 1 else 1.0
    if with_zero:
        figure.add_bar(
            x=[-1.5 * width],
            y=[histogram.n_zero],
            width=[2 * width],
            marker_line_width=0,
            marker_color=SILENT,
            hovertemplate="silent (activation 0)<br>%{y:,} rows<extra></extra>",
        )
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        customdata=np.stack([edges[:-1], edges[1:]], axis=1) if len(edges) else None,
        marker_line_width=0,
        marker_color=ACTIVE,
        hovertemplate="activation %{customdata[0]:.3f} to %{customdata[1]:.3f}<br>%{y:,} rows<extra></extra>",
    )
    figure.update_layout(bargap=0)
    if log_scale:
        _log_counts(figure, max(histogram.n_zero if with_zero else 0, int(counts.max(initial=1))))
    return figure


def logit_histogram(histogram: Histogram) -> go.Figure:
    """How the feature's logit effects are spread over the vocabulary; always with a log scale."""
    edges = histogram.bin_edges
    figure = _figure("Logit effect (logits per unit of activation)", "Tokens (log scale)", height=190)
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=histogram.counts,
        width=np.diff(edges),
        customdata=np.stack([edges[:-1], edges[1:]], axis=1) if len(edges) else None,
        marker_line_width=0,
        marker_color=LOGIT,
        hovertemplate="effect %{customdata[0]:.4f} to %{customdata[1]:.4f}<br>%{y:,} tokens<extra></extra>",
    )
    figure.update_layout(bargap=0)
    _log_counts(figure, int(histogram.counts.max(initial=1)))
    return figure


def token_bars(promoted: Sequence[Effect], suppressed: Sequence[Effect]) -> go.Figure:
    """The strongest tokens each way, as bars to the right and to the left of zero."""
    ways = ((promoted[:TOKENS_IN_BARS], PROMOTED), (suppressed[:TOKENS_IN_BARS][::-1], SUPPRESSED))
    bars = [(effect, colour) for effects, colour in ways for effect in effects]
    names = [plotly_text(label(effect.token)) for effect, _ in bars]
    figure = _figure("Logits per unit of activation", "Token", height=64 + 18 * len(bars))
    figure.add_bar(
        x=[effect.influence for effect, _ in bars],
        y=list(range(len(bars))),
        orientation="h",
        customdata=names,
        marker_line_width=0,
        marker_color=[colour for _, colour in bars],
        hovertemplate="%{customdata}<br>%{x:.4f} logits per unit of activation<extra></extra>",
    )
    figure.update_yaxes(
        tickvals=list(range(len(bars))),
        ticktext=[_shortened(name) for name in names],
        tickfont={"family": TOKEN_FONT, "size": 12},
        autorange="reversed",
        showgrid=False,
    )
    figure.update_xaxes(showgrid=True, zeroline=True)
    figure.update_layout(bargap=0.22)
    return figure


def _shortened(name: str, longest: int = 28) -> str:
    """A long name cut, but never inside an escape."""
    if len(name) <= longest:
        return name
    cut = name[:longest]
    return cut[: cut.rfind("&")] + "…" if cut.rfind("&") > cut.rfind(";") else cut + "…"


def frequency_distribution(distribution: FrequencyDistribution) -> go.Figure:
    """How often features fire, on a log scale; dense features in another colour."""
    edges, counts = distribution.histogram.bin_edges, distribution.histogram.counts
    middles = (edges[:-1] + edges[1:]) / 2
    dense = edges[:-1] >= np.log10(distribution.dense_share) - 1e-9
    ranges = [f"{formats.share(10**a)} to {formats.share(10**b)}" for a, b in pairwise(edges)]
    figure = _figure("Share of rows on which a feature fires (log scale)", "Features", height=300)
    figure.add_bar(
        x=middles,
        y=counts,
        width=np.diff(edges),
        customdata=ranges,
        marker_line_width=0,
        marker_color=np.where(dense, SUPPRESSED, ACTIVE).tolist(),
        hovertemplate="active on %{customdata} of rows<br>%{y:,} features<extra></extra>",
    )
    ticks = _share_ticks(float(edges[0]) if len(edges) else -4.0)
    figure.update_xaxes(tickvals=np.log10(ticks).tolist(), ticktext=[formats.short_share(t) for t in ticks])
    figure.update_layout(bargap=0.06)
    return figure


def _share_ticks(lowest: float) -> list[float]:
    """Round shares from 10**lowest to 1; more of them where few powers of ten lie between."""
    steps = (1, 2, 5) if lowest > -2.5 else (1,)
    shares = [step * 10.0**power for power in range(int(np.floor(lowest)), 1) for step in steps]
    return [share for share in shares if 10**lowest <= share * (1 + 1e-9) and share <= 1]


def _log_counts(figure: go.Figure, largest: int) -> None:
    """A log scale that begins below 1, so that a bar of one row is seen."""
    figure.update_yaxes(type="log", dtick=1, range=[np.log10(0.6), np.log10(max(largest, 2)) * 1.05])


def _figure(x_title: str, y_title: str | None, height: int) -> go.Figure:
    """An empty figure in the house's style."""
    axis = {"automargin": True, "zeroline": False, "tickfont": {"size": 11}, "title": {"font": {"size": 12}}}
    return go.Figure(
        layout={
            "template": None,
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12},
            "showlegend": False,
            "barcornerradius": 0,
            "hoverlabel": {"bgcolor": "#20252d", "font": {"color": "#ffffff", "family": FONT, "size": 12}},
            "xaxis": {**axis, "title": {"text": x_title, "font": {"size": 12}}, "showgrid": False},
            "yaxis": {**axis, "title": {"text": y_title, "font": {"size": 12}}, "tickformat": ",~s"},
        }
    )


def summary(histogram: Histogram, unit: str) -> str:
    """A figure in one sentence, for those who do not see it."""
    if not len(histogram.counts):
        return f"No {unit} to count."
    peak = int(np.argmax(histogram.counts))
    low, high = histogram.bin_edges[peak], histogram.bin_edges[peak + 1]
    first, last = (formats.decimal(float(edge)) for edge in histogram.bin_edges[[0, -1]])
    return (
        f"{int(histogram.counts.sum()):,} {unit} in {len(histogram.counts)} bins from "
        f"{first} to {last}; "
        f"most, {int(histogram.counts[peak]):,}, between {formats.decimal(float(low))} and "
        f"{formats.decimal(float(high))}."
    )

"""The figure of how often features fire: bands in, a Plotly figure out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dashboard import formats
from dashboard.figures import ACTIVE, SILENT, SUPPRESSED, Figure, empty_figure
from dashboard.questions.frequency import FrequencyBand

DEAD_WIDTH, DEAD_GAP = 0.2, 0.4
"""Of the bar of features that never fire, and between it and the others, in powers of ten."""


def frequency_distribution(bands: Sequence[FrequencyBand]) -> Figure:
    """How often features fire, on a log scale; those that never do to the left, dense ones in another
    colour. Each bar knows the page that lists its features."""
    figure = empty_figure("Share of rows on which a feature fires (log scale)", "Features", height=300)
    dead, firing = [b for b in bands if b.high == 0], [b for b in bands if b.high > 0]
    spans = [(math.log10(band.low), math.log10(band.high)) for band in firing]
    left = spans[0][0] if spans else 0.0
    if dead:
        spans.insert(0, (left - DEAD_GAP - DEAD_WIDTH, left - DEAD_GAP))
    shown = [*dead, *firing]
    figure["data"].append(
        {
            "type": "bar",
            "x": [(a + b) / 2 for a, b in spans],
            "y": [band.n_features for band in shown],
            "width": [b - a for a, b in spans],
            "customdata": [[frequency_words(band), band.path] for band in shown],
            "marker": {"color": [_frequency_colour(band) for band in shown], "line": {"width": 0}},
            "hovertemplate": "%{customdata[0]}<br>%{y:,} features<extra></extra>",
        }
    )
    # The bar of those that never fire needs the room of the first tick's words.
    ticks = _share_ticks(left + (DEAD_GAP if dead else 0))
    words = [formats.short_share(t) for t in ticks]
    figure["layout"]["xaxis"] |= {
        "tickangle": 0,
        "tickvals": [*([left - DEAD_GAP - DEAD_WIDTH / 2] if dead else []), *np.log10(ticks).tolist()],
        "ticktext": [*(["never"] if dead else []), *words],
    }
    figure["layout"]["bargap"] = 0.06
    return figure


def frequency_words(band: FrequencyBand) -> str:
    """On which share of the rows the features of a band fire."""
    if band.high == 0:
        return "never active"
    return f"active on {formats.share(band.low)} to {formats.share(band.high)} of rows"


def _frequency_colour(band: FrequencyBand) -> str:
    if band.high == 0:
        return SILENT
    return SUPPRESSED if band.is_dense else ACTIVE


def _share_ticks(lowest: float) -> list[float]:
    """Round shares from 10**lowest to 1; more of them where few powers of ten lie between."""
    steps = (1, 2, 5) if lowest > -2.5 else (1,)
    shares = [step * 10.0**power for power in range(int(np.floor(lowest)), 1) for step in steps]
    return [share for share in shares if 10**lowest <= share * (1 + 1e-9) and share <= 1]

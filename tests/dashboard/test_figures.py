"""Figures hold the numbers of their records, have titled axes, and say tokens exactly."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard import figures, formats
from dashboard.frequency_figure import frequency_distribution
from dashboard.questions.frequency import bands
from dashboard.records import Effect, FrequencyDistribution, Histogram
from tests.dashboard.made_artifacts import HARD_TOKENS

HISTOGRAM = Histogram(np.linspace(0.5, 2.5, 5), np.array([4, 0, 2, 1]), n_zero=93)
EFFECTS = tuple(Effect(i, token, 1.0 - 0.01 * i) for i, token in enumerate(HARD_TOKENS[:12]))
DISTRIBUTION = FrequencyDistribution(
    Histogram(np.linspace(-4, 0, 41), np.ones(41 - 1, int), 7), n_features=47, n_dense=10, dense_share=0.1
)
RAW = {
    "activations": figures.activation_histogram(HISTOGRAM),
    "activations, all, log": figures.activation_histogram(HISTOGRAM, with_zero=True, log_scale=True),
    "logits": figures.logit_histogram(HISTOGRAM),
    "tokens": figures.token_bars(EFFECTS, EFFECTS),
    "frequencies": frequency_distribution(bands(DISTRIBUTION)),
}
EVERY = {name: go.Figure(figure) for name, figure in RAW.items()}
"""As objects: Plotly refuses a property that does not exist."""


@pytest.mark.parametrize("figure", EVERY.values(), ids=EVERY.keys())
def test_every_figure_has_titled_axes_and_valid_json(figure: go.Figure) -> None:
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    assert figure.layout.height
    json.loads(figure.to_json())


def test_figures_are_plain_json() -> None:
    assert json.loads(json.dumps(RAW)) == RAW


@pytest.mark.parametrize("name", ["activations", "activations, all, log"])
def test_every_row_is_counted(name: str) -> None:
    bars = EVERY[name].data
    assert list(bars[-1].y) == HISTOGRAM.counts.tolist()
    edges = [x - w / 2 for x, w in zip(bars[-1].x, bars[-1].width, strict=True)]
    np.testing.assert_allclose(edges, HISTOGRAM.bin_edges[:-1])
    shown = sum(sum(bar.y) for bar in bars)
    assert shown == HISTOGRAM.counts.sum() + (HISTOGRAM.n_zero if len(bars) == 2 else 0)


def test_the_zero_bar_does_not_touch_the_first_bin() -> None:
    zero, first = EVERY["activations, all, log"].data
    assert zero.x[0] + zero.width[0] / 2 <= first.x[0] - first.width[0] / 2


def test_token_labels_are_escaped() -> None:
    figure = EVERY["tokens"]
    labels = list(figure.layout.yaxis.ticktext)
    assert labels[0] == "&lt;s&gt;"
    assert labels[1] == "&amp;lt;"
    assert not any("<" in text for text in [*labels, *figure.data[0].customdata])


def test_a_long_label_is_not_cut_inside_an_escape() -> None:
    figure = go.Figure(figures.token_bars([Effect(0, "<" * 200, 1.0)], []))
    shown = figure.layout.yaxis.ticktext[0]
    assert shown.removesuffix("…").replace("&lt;", "") == ""


def test_suppressed_tokens_end_at_the_strongest() -> None:
    figure = go.Figure(
        figures.token_bars([Effect(0, "up", 2.0)], [Effect(1, "most", -3.0), Effect(2, "less", -1.0)])
    )
    assert list(figure.layout.yaxis.ticktext) == ["up", "less", "most"]
    assert list(figure.data[0].x) == [2.0, -1.0, -3.0]


def test_empty_records_give_figures() -> None:
    nothing = Histogram(np.zeros(0), np.zeros(0, int))
    figures.activation_histogram(nothing, True, True)
    figures.logit_histogram(nothing)
    figures.token_bars([], [])
    assert figures.summary(nothing, "rows") == "No rows to count."


def test_nothing_is_sent_anywhere() -> None:
    assert figures.CONFIG["showSendToCloud"] is False
    assert figures.CONFIG["plotlyServerURL"] == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (0.99999, "1.00"),
        (9.999, "10.0"),
        (1234.5, "1,234"),
        (0.00012345, "0.000123"),
        (1e-9, "1.00e-09"),
        (-0.5, "-0.500"),
        (float("nan"), "–"),
    ],
)
def test_decimals(value: float | None, shown: str) -> None:
    assert formats.decimal(value) == shown


def test_units() -> None:
    assert formats.share(0.0417) == "4.17 %"
    assert formats.size(0) == "0 B"
    assert formats.size(1_234_567) == "1.2 MB"
    assert formats.duration(75) == "1 min 15 s"
    assert formats.plural(1, "row") == "1 row"
    assert formats.count(None) == "–"

"""The examples of a feature: texts coloured by how strongly it fires on each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard import formats
from dashboard.address import AddressError, one_of, shortened
from dashboard.bands import MISS, TOP
from dashboard.components.browser import spoken
from dashboard.components.panels import empty, filled, panel
from dashboard.components.tokens import highlighted, scale
from dashboard.queries import Queries
from dashboard.records import Band, ShownExample
from dashboard.token_view import excerpt, visible
from precompute.errors import LightwellError

METADATA_SHOWN = 4
"""Metadata values in an example's caption; the others are in its tooltip."""
LONGEST_VALUE = 60


def examples_panel(queries: Queries, feature: int, band: str, extent: str) -> Any:
    """The examples of one band, with a choice of the others."""
    controls = _extent_control(extent)

    def content() -> Any:
        bands = queries.bands(feature)
        names = tuple(found.name for found in bands)
        chosen = one_of(band if names else TOP, names or (TOP,), "band")
        return [
            _band_control(bands, chosen),
            html.Div(example_list(queries, feature, chosen, extent), id="examples"),
        ]

    return panel("Examples", filled(queries, "examples", content), controls=controls, anchor="examples-panel")


def _extent_control(extent: str) -> dmc.SegmentedControl:
    data = [{"value": "window", "label": "Excerpts"}, {"value": "whole", "label": "Whole examples"}]
    return dmc.SegmentedControl(
        id="extent", data=data, value=extent, size="xs", **spoken("How much of each example is shown")
    )


def _band_control(bands: Sequence[Band], chosen: str) -> dmc.SegmentedControl:
    data = [{"value": band.name, "label": band.label} for band in bands]
    return dmc.SegmentedControl(
        id="band",
        data=data,
        value=chosen,
        size="xs",
        className="bands",
        **spoken("Which activations"),
    )


def example_list(queries: Queries, feature: int, band_name: str, extent: str) -> list[Any]:
    """The examples of one band, strongest first."""
    bands = {band.name: band for band in queries.bands(feature)}
    if band_name not in bands:
        raise AddressError(
            f"band {shortened(band_name)}", f"one of {', '.join(bands)}", "choose a band on the page"
        )
    shown = queries.examples(feature, band_name)
    top = _scale_top(queries, feature, shown)
    about = html.Div(
        [html.Span(bands[band_name].description), scale(top)]
        if shown
        else [html.Span(bands[band_name].description)],
        className="band-about",
    )
    if not shown:
        return [about, empty(_why_none(queries, feature, band_name))]
    return [about, *(_example(example, top, extent) for example in shown)]


def _scale_top(queries: Queries, feature: int, shown: Sequence[ShownExample]) -> float:
    """The feature's maximum, so that colours mean the same in every band."""
    try:
        return float(queries.statistics(feature).stats["max"])
    except LightwellError:
        return max((example.activation for example in shown), default=0.0)


def _why_none(queries: Queries, feature: int, band_name: str) -> str:
    try:
        if queries.statistics(feature).is_silent:
            return "This feature never fires on this corpus, so it has no examples"
    except LightwellError:
        pass
    if band_name == MISS:
        return "No near miss was found for this feature"
    return "No activation of this feature lies in this band, or its texts are already in another one"


def _example(example: ShownExample, top: float, extent: str) -> html.Article:
    shown = excerpt(example.str_tokens, example.acts, top, example.position, whole=extent == "whole")
    return html.Article([_caption(example), highlighted(shown)], className="example")


def _caption(example: ShownExample) -> html.Div:
    at = "" if example.position is None else f"token {example.position} of {len(example.str_tokens)}"
    place = f"example {example.example:,}" + (f", {at}" if at else "")
    shown = {name: visible(str(value), keep_spaces=True) for name, value in example.metadata.items()}
    values = list(shown.values())[:METADATA_SHOWN]
    everything = " · ".join(f"{name}: {value}" for name, value in shown.items())
    copies = f"{example.n_copies} equal texts" if example.n_copies > 1 else ""
    return html.Div(
        [
            html.Span(formats.decimal(example.activation, 4), className="activation", title="activation"),
            *(
                [html.Span(_shortened(" · ".join(values)), className="metadata", title=everything[:1000])]
                if values
                else []
            ),
            html.Span(copies, className="dim") if copies else None,
            html.Span(place, className="dim place", title=f"text {example.text_id}, chunk {example.chunk}"),
        ],
        className="example-head",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 3 * LONGEST_VALUE else text[: 3 * LONGEST_VALUE] + "…"

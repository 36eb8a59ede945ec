"""Section: texts on which the feature fires, from the strongest to near misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from dashboard import formats
from dashboard.address import Address, AddressError, one_of
from dashboard.bands import MISS, TOP
from dashboard.bands import band as described
from dashboard.components.browser import in_browser
from dashboard.components.choices import choice, field
from dashboard.components.elements import still
from dashboard.components.example_view import Look, followers, group
from dashboard.components.panels import empty, filled
from dashboard.components.tokens import scale
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.alike import alike
from dashboard.questions.drawn import EXAMPLE, Conditions, Drawn, drawn_examples, where_of
from dashboard.questions.overlays import Overlay, overlay_of, set_suggestions
from dashboard.questions.rows import span_of
from dashboard.questions.shares import MOST_VALUES
from dashboard.questions.token_effects import effects_on
from dashboard.records import Band
from dashboard.sections.section import Filling, Section
from dashboard.tables import optional
from precompute.errors import LightwellError

EXTENTS = (("window", "Excerpts"), ("whole", "Whole examples"))
BOLD = (("none", "Plain"), ("tfidf", "Typical in bold"))
MOST_FOLLOWERS = 20_000


@dataclass(frozen=True)
class Chosen:
    """What is to be shown, as it stands in the address: texts that are not yet understood."""

    band: object = TOP
    range: object = None
    where: object = None
    overlay: object = None
    bold: object = "none"


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """The examples of one band or range, with a choice of the others."""
    given = asked.parameters
    extent = one_of(given.get("extent"), tuple(key for key, _ in EXTENTS), "extent")
    bold = one_of(given.get("bold"), tuple(key for key, _ in BOLD), "bold")
    bands = queries.bands(feature)
    band = one_of(given.get("band"), tuple(found.name for found in bands) or (TOP,), "band")
    chosen = Chosen(band, given.get("range"), given.get("where"), given.get("overlay"), bold)
    listed = filled(queries, "examples", lambda: example_list(queries, feature, chosen))
    content = [
        _band_control(bands, band, overruled=_overruled(given)),
        _conditions(queries, given, bold),
        html.Div(listed, id="example-list", className=extent),
        dcc.Store(id="lens"),
    ]
    return Filling(content, choice("extent", EXTENTS, extent, "How much of each example is shown"))


def _overruled(given: Mapping[str, str]) -> bool:
    return bool(given.get("range")) or given.get("where", "").startswith(f"{EXAMPLE}:")


def _band_control(bands: Sequence[Band], chosen: str, *, overruled: bool) -> dmc.SegmentedControl:
    """The bands; pale where a range or one example stands in their place."""
    options = [(band.name, band.label) for band in bands]
    return choice("band", options, chosen, "Which activations", "bands overruled" if overruled else "bands")


def _conditions(queries: Queries, given: Mapping[str, str], bold: str) -> html.Div:
    """What narrows the examples down, and what is laid over them."""
    suggested = _suggestions(queries)
    return html.Div(
        [
            field("range-field", "Activations", "low:high", value=given.get("range"), width=150),
            field(
                "where",
                "Texts with",
                "column:value",
                value=given.get("where"),
                width=190,
                suggestions=suggested,
            ),
            field(
                "overlay",
                "Lay over",
                "number or set:name",
                value=given.get("overlay"),
                width=180,
                suggestions=set_suggestions(queries),
            ),
            choice("bold", BOLD, bold, "Tokens typical of the feature's surroundings (TF-IDF)"),
        ],
        className="conditions",
    )


def _suggestions(queries: Queries) -> list[str]:
    """Conditions on columns with few values."""

    def found() -> list[str]:
        texts = queries.corpus_texts()
        values = {name: texts[name].drop_nulls() for name in summaries.corpus(queries).metadata_columns}
        few = {name: column.unique() for name, column in values.items() if column.n_unique() <= MOST_VALUES}
        return [f"{name}:{value}" for name, column in few.items() for value in sorted(map(str, column))]

    return optional(lambda: queries.tables.derived("suggested conditions", "corpus", found)) or []


def example_list(queries: Queries, feature: int, chosen: Chosen) -> list[Any]:
    """The examples that are chosen, strongest first."""
    bands = {band.name: band for band in queries.bands(feature)}
    name = one_of(chosen.band, tuple(bands) or (TOP,), "band")
    band = bands.get(name) or described(name, [name], 0)
    wanted = Conditions(band.name, span_of(chosen.range), where_of(queries, chosen.where))
    found = _found(queries, feature, wanted)
    second = overlay_of(queries, chosen.overlay)
    look = _look(queries, feature, chosen, found, second)
    scales = [scale(look.top)]
    if second is not None:
        scales.append(scale(second.top, second=True, name=f"maximum of {second.name}"))
    about = [html.Span(_about(band, wanted, found)), html.Div(scales, className="scales")]
    if not found.examples:
        return [html.Div(about[:1], className="band-about"), empty(_why_none(queries, feature, wanted))]
    return [
        html.Div(about, className="band-about"),
        dcc.Store(id="followers", data=followers(found.examples)),
        still(*(group(queries, examples, look) for examples in alike(found.examples))),
    ]


def _found(queries: Queries, feature: int, wanted: Conditions) -> Drawn:
    if wanted.are_listed:
        listed = queries.examples(feature, wanted.band)
        return Drawn(listed, len(listed), len(listed), is_drawn=False)
    return drawn_examples(queries, feature, wanted)


def _look(queries: Queries, feature: int, chosen: Chosen, found: Drawn, second: Overlay | None) -> Look:
    """How they are drawn."""
    top = _scale_top(queries, feature, found)
    bold = one_of(chosen.bold, tuple(key for key, _ in BOLD), "bold")
    typical = frozenset(queries.rows_of("tfidf", feature)["token_id"]) if bold == "tfidf" else frozenset()
    if second is None:
        return Look(feature, top, bold=typical)
    return Look(feature, top, second.found, second.top, typical)


def _scale_top(queries: Queries, feature: int, found: Drawn) -> float:
    """The feature's maximum, so that colours mean the same in every band."""
    try:
        return float(queries.statistics(feature).stats["max"])
    except LightwellError:
        return max((example.activation for example in found.examples), default=0.0)


def _about(band: Band, wanted: Conditions, found: Drawn) -> str:
    """What is shown, in one sentence."""
    if wanted.are_listed:
        return band.description
    if wanted.where is not None and wanted.where.example is not None:
        active = formats.plural(found.n_rows, "active row")
        return f"Example {wanted.where.example:,}, whatever its band or range: {active}."
    where = f" in texts with {wanted.where.column} {wanted.where.value}" if wanted.where else ""
    if wanted.span is None and band.name == MISS:
        return f"{band.description[:-1]}{where}."
    drawn = f"; {len(found.examples)} drawn by seed, one a text" if found.is_drawn else ""
    rows, texts = formats.plural(found.n_rows, "row"), formats.plural(found.n_texts, "text")
    if wanted.span is None:
        return f"{band.description[:-1]}{where}: {rows} in {texts}{drawn}."
    low, high = formats.decimal(wanted.span.low, 4), formats.decimal(wanted.span.high, 4)
    return f"Activations from {low} to {high}{where}: {rows} in {texts}{drawn}."


def _why_none(queries: Queries, feature: int, wanted: Conditions) -> str:
    known = optional(lambda: queries.statistics(feature))
    if known is not None and known.is_silent:
        return "This feature never fires on this corpus, so it has no examples"
    if not wanted.are_listed:
        return "No example meets these conditions; clear one of the fields above"
    if wanted.band == MISS:
        return "No near miss was found for this feature"
    return "No activation of this feature lies in this band, or its texts are already in another one"


def register(app: Dash, queries: Queries) -> None:
    """Other bands, ranges, conditions and layers; each goes into the address."""

    @app.callback(
        Output("example-list", "children"),
        Input("band", "value"),
        Input("range", "data"),
        Input("where", "value"),
        Input("overlay", "value"),
        Input("bold", "value"),
        State("feature-number", "data"),
        prevent_initial_call=True,
    )
    def examples(*values: object) -> Any:
        feature, chosen = queries.known_feature(values[-1]), Chosen(*values[:-1])
        return filled(queries, "examples", lambda: example_list(queries, feature, chosen))

    @app.callback(Output("lens", "data"), Input("followers", "data"), State("feature-number", "data"))
    def lens(token_ids: object, number: object) -> Any:
        feature = queries.known_feature(number)
        return optional(lambda: effects_on(queries, feature, _token_ids(token_ids)))

    for name in ("band", "where", "overlay", "bold"):
        in_browser(app, f"remember_{name}", Input(name, "value"))
    in_browser(app, "chooseRange", Input("range-field", "value"))
    in_browser(app, "chooseExtent", Input("extent", "value"))
    in_browser(app, "keepLens", Input("lens", "data"))


def _token_ids(value: object) -> list[int]:
    """Token numbers as the page sends them; raises AddressError for anything else."""
    if not isinstance(value, list) or len(value) > MOST_FOLLOWERS:
        raise AddressError("tokens that no page sends", "a list of token numbers", "reload the page")
    if not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in value):
        raise AddressError("tokens that no page sends", "whole numbers from 0", "reload the page")
    return value


SECTION = Section(
    anchor="examples",
    title="Examples",
    place="right",
    steps=("examples", "transpose", "corpus"),
    explanation="Texts coloured by activation, on one scale from 0 to the feature's maximum. Click … for "
    "the whole example; hover a token, or move to it with Tab and ← →, for its activation a, its "
    "position, and its logit-lens change: a · (W_dec[f] · W_U)[next token], what the feature adds by the "
    "direct path to the logit of the token that stands next. Bands have at most one example a text; texts "
    "that are equal are one text, and examples whose 8 tokens up to the active one are equal stand "
    "together. Near misses are the examples whose mean residual vector has the highest cosine with the "
    "average of the top examples' and on which the feature is silent. A condition is column:value, a "
    "metadata column of the corpus and its value, or example:number for one example. Laid over is the "
    "activation of a second feature, or with set:NAME the sum of those of a set.",
    layout=layout,
    register=register,
    parameters=("extent", "bold", "band", "range", "where", "overlay"),
)

"""Parts of the page that compares features: statistics, tokens, surroundings, rows, shared examples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from dash import html
from numpy.typing import NDArray

from dashboard import formats
from dashboard.address import feature_path, with_parameters
from dashboard.columns import BY_NAME, Column
from dashboard.components.elements import Element, element, link, still, table
from dashboard.components.panels import empty
from dashboard.components.tokens import chip, highlighted, scale
from dashboard.queries import Queries
from dashboard.questions.comparison import Overlap, Shared, SharedExample, shared_examples, together
from dashboard.questions.drawn import EXAMPLE
from dashboard.questions.matching import cosine_matrix
from dashboard.questions.token_comparison import TokenOfSeveral, compared_tokens
from dashboard.token_view import Layers, excerpt

STATISTICS = (
    "label",
    "n_nonzero",
    "frac_active",
    "n_examples",
    "max",
    "mean",
    "mean_active",
    "q25",
    "median",
    "q75",
    "std",
    "decoder_norm",
    "logit_std",
    "skewness",
    "kurtosis",
    "cluster",
)
"""Columns of the feature table that are compared, in this order."""
LISTED = 8
"""Tokens of each feature that stand side by side."""
MEASURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "jaccard": ("Jaccard", "rows on which both fire, as a share of those on which either does"),
        "both": ("Rows", "rows on which both fire; on the diagonal, rows on which the feature fires"),
        "pearson": ("Pearson", "correlation of the activations over all rows, zeros included"),
        "lift": ("Lift", "n_both · n_rows / (n_a · n_b): 1 where they are independent"),
        "cosine": ("Cosine", "cosine of the decoder directions"),
    }
)
"""What the table of pairs can show: its name, and what it means."""


def feature_links(queries: Queries, features: Iterable[int]) -> list[Element]:
    """Numbers of features as headings of columns."""
    return [
        link(f"{feature}", queries.href(feature_path(feature)), className="feature-link")
        for feature in features
    ]


def statistics(queries: Queries, features: tuple[int, ...]) -> Element:
    """One line a statistic, one column a feature."""
    joined = queries.feature_table()
    rows = [joined.row(feature, named=True) for feature in features]
    there = [BY_NAME[name] for name in STATISTICS if name in BY_NAME and name in joined.columns]
    lines = [_line(column, [row[column.name] for row in rows]) for column in there]
    headings = ["Statistic", *feature_links(queries, features)]
    return _wide(table(headings, lines, "Statistics side by side", kind="compared"))


def _line(column: Column, values: Sequence[Any]) -> list[Any]:
    name = element("Span", column.heading, title=column.explanation)
    return [name, *(_written(column, value) for value in values)]


def _written(column: Column, value: Any) -> Any:
    if value is None:
        return formats.ABSENT
    written: Mapping[str, Callable[[Any], str]] = {"count": formats.count, "share": formats.share}
    if column.kind in ("decimal", *written):
        return written.get(column.kind, formats.decimal)(value)
    return element("Span", str(value), className="compared-words")


def _wide(content: Element) -> html.Div:
    """A table that scrolls sideways where it does not fit."""
    return html.Div(content, className="table-wide", tabIndex=0)


Listed = tuple[str, str]
"""A token and its number."""


def side_by_side(
    queries: Queries, features: tuple[int, ...], lists: Sequence[Sequence[Listed]], name: str
) -> Element:
    """The first tokens of each feature's list; those that stand in several are marked."""
    counted = Counter(token for one in lists for token, _ in one)
    lines = [
        [_listed(one[place], counted) if place < len(one) else "" for one in lists]
        for place in range(max((len(one) for one in lists), default=0))
    ]
    headings = feature_links(queries, features)
    return _wide(table(headings, lines, name, first_numeric=len(features), kind="tokens-beside"))


def _listed(entry: Listed, counted: Mapping[str, int]) -> Element:
    token, number = entry
    n = counted[token]
    mark = chip(token, f"in {n} of the lists", "shared") if n > 1 else chip(token)
    return element("Span", [mark, element("Span", number, className="dim")], className="listed")


def own_tokens(queries: Queries, features: tuple[int, ...]) -> list[Any]:
    """What each feature promotes and suppresses most."""
    effects = [queries.effects(feature) for feature in features]
    promoted = [[(e.token, formats.signed(e.influence)) for e in one.promoted[:LISTED]] for one in effects]
    suppressed = [
        [(e.token, formats.signed(e.influence)) for e in one.suppressed[:LISTED]] for one in effects
    ]
    return [
        _sub("Promoted most (logits per unit of activation)"),
        side_by_side(queries, features, promoted, "Promoted tokens side by side"),
        _sub("Suppressed most (logits per unit of activation)"),
        side_by_side(queries, features, suppressed, "Suppressed tokens side by side"),
    ]


def surroundings(queries: Queries, features: tuple[int, ...]) -> Element:
    """The tokens that are typical of where each feature fires."""
    tables = [queries.rows_of("tfidf", feature).sort("rank").head(LISTED) for feature in features]
    if not any(found.height for found in tables):
        return empty("None of these features fires, so nothing is typical of where they do")
    lists = [
        [(token, formats.decimal(value)) for token, value in zip(found["token"], found["tfidf"], strict=True)]
        for found in tables
    ]
    return side_by_side(queries, features, lists, "TF-IDF tokens side by side")


def agreement(queries: Queries, features: tuple[int, ...]) -> list[Any]:
    """Tokens that all features push one way, and tokens that divide them."""
    found = compared_tokens(queries, features)
    kinds = (
        ("Promoted by all", found.promoted, "No token is pushed up by all of them"),
        ("Suppressed by all", found.suppressed, "No token is pushed down by all of them"),
        ("Opposed: one pushes up, another down", found.opposed, "No token is pushed both ways"),
    )
    parts: list[Any] = []
    for name, tokens, why_none in kinds:
        shown = _agreed(queries, features, tokens, name) if tokens else empty(why_none)
        parts += [_sub(name), shown]
    return parts


def _agreed(
    queries: Queries, features: tuple[int, ...], tokens: Sequence[TokenOfSeveral], name: str
) -> Element:
    lines = [[chip(one.token), *(_effect(effect) for effect in one.effects)] for one in tokens]
    return _wide(table(["Token", *feature_links(queries, features)], lines, name, kind="compared"))


def _effect(value: float) -> Element:
    return element("Span", formats.signed(value), className="up" if value > 0 else "down")


def _sub(text: str) -> html.H3:
    return html.H3(text, className="sub")


def pairs(queries: Queries, found: Overlap, measure: str) -> list[Any]:
    """A table with a line and a column for each feature."""
    values = _values(queries, found, measure)
    shades = _shades(values, measure)
    written = formats.count if measure == "both" else formats.decimal
    lines = [
        [
            head,
            *(
                _pair(written, values[a, b], shades[a, b], a == b, measure)
                for b in range(len(found.features))
            ),
        ]
        for a, head in enumerate(feature_links(queries, found.features))
    ]
    headings = ["Feature", *feature_links(queries, found.features)]
    name, meaning = MEASURES[measure]
    sentence = f"{name}: {meaning}. {in_words(found)}"
    shown = table(headings, lines, f"{name} of each two features", kind="compared")
    return [_wide(shown), html.P(sentence, className="caption")]


def in_words(found: Overlap) -> str:
    """How many rows the features share, in a sentence."""
    n = len(found.features)
    return (
        f"Of all {found.n_rows:,} rows, at least one of the {n} fires on {found.n_any:,}, "
        f"all {n} on {found.n_all:,}."
    )


def _values(queries: Queries, found: Overlap, measure: str) -> NDArray[Any]:
    known: Mapping[str, Callable[[], NDArray[Any]]] = {
        "jaccard": lambda: found.jaccard,
        "both": lambda: found.n_both,
        "pearson": lambda: found.pearson,
        "lift": lambda: found.lift,
        "cosine": lambda: cosine_matrix(queries, found.features),
    }
    return known[measure]()


def _shades(values: NDArray[Any], measure: str) -> NDArray[np.float64]:
    """How deep each cell is coloured, 0 to 1: by its size, counts and lifts against the largest pair."""
    sizes = np.nan_to_num(np.abs(values.astype(np.float64)))
    if measure not in ("both", "lift"):
        return sizes
    pairs_only = sizes[~np.eye(len(sizes), dtype=bool)]
    largest = pairs_only.max(initial=0)
    return np.minimum(sizes / largest, 1) if largest else np.zeros_like(sizes)


def _pair(written: Callable[[Any], str], value: Any, shade: float, is_same: bool, measure: str) -> Any:
    if is_same and measure != "both":
        return element("Span", formats.ABSENT, className="dim", title="the feature itself")
    if math.isnan(value):
        return element("Span", formats.ABSENT, title="not defined: one of them never fires")
    style = {} if is_same else {"style": {"--strength": f"{shade:.3f}"}}
    return element("Span", written(float(value)), className="shade", **style)


def examples(queries: Queries, features: tuple[int, ...], colour: int, under: int) -> list[Any]:
    """The shared examples, with two of the features on their texts."""
    found = shared_examples(queries, features, colour, under)
    if not found.examples:
        return [empty("No example has two of these features active, so they share none")]
    joint = together(queries, features)
    tops = [float(joint.of(feature).acts.max(initial=0)) for feature in (colour, under)]
    scales = [
        scale(tops[0], name=f"maximum of feature {colour}"),
        scale(tops[1], second=True, name=f"maximum of feature {under}"),
    ]
    about = [html.Span(_about(found, features)), html.Div(scales, className="scales")]
    return [
        html.Div(about, className="band-about"),
        still(*(_article(queries, features, one, tops) for one in found.examples)),
    ]


def _about(found: Shared, features: tuple[int, ...]) -> str:
    at_least = formats.plural(found.n_shared, "example")
    if len(features) == 2:
        return f"Both fire on {at_least}; strongest first, one a text."
    return (
        f"At least two fire on {at_least}, all {len(features)} on {found.n_by_all:,}; "
        "those with most features first, one a text."
    )


def _article(queries: Queries, features: tuple[int, ...], one: SharedExample, tops: list[float]) -> Element:
    shown = one.example
    layers = Layers(
        second=one.second, second_top=tops[1], token_ids=shown.token_ids, keeps_rest=True, is_set=shown.is_set
    )
    text = excerpt(shown.str_tokens, shown.acts, tops[0], shown.position, layers=layers)
    return element(
        "Article", [_caption(queries, features, one), highlighted(text)], className="example compared-example"
    )


def _caption(queries: Queries, features: tuple[int, ...], one: SharedExample) -> Element:
    chips = [
        element(
            "Span",
            [element("Span", f"{feature}", className="chip-feature"), " ", formats.decimal(top)],
            className="maximum",
            title=f"Feature {feature}: largest activation in this example",
        )
        for feature, top in zip(features, one.maxima, strict=True)
        if top > 0
    ]
    number = one.example.example
    path, about = with_parameters("/prompt", {"example": str(number)}), "Open as a prompt"
    if one.example.is_set:  # No model has read it as a text.
        path, about = (
            feature_path(features[0], where=f"{EXAMPLE}:{number}", extent="whole"),
            "Only this example",
        )
    place = link(f"example {number:,}", queries.href(path), className="place", title=about)
    return element("Div", [*chips, place], className="example-head")

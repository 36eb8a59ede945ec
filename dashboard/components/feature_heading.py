"""The top of a feature's page: its number, ways to other features and to its data, its statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import dcc, html
from numpy.typing import NDArray

from dashboard import formats
from dashboard.address import feature_path, with_parameters
from dashboard.components.elements import element, still
from dashboard.components.facts import Fact, tiles
from dashboard.components.panels import filled
from dashboard.components.snippet import snippet
from dashboard.components.step_links import Step, step_link
from dashboard.components.tokens import feature_chip
from dashboard.queries import Queries
from dashboard.records import FeatureStatistics
from dashboard.tables import optional
from precompute.errors import LightwellError

CHIPS_SHOWN = 5
"""Features in each row of chips; the section on relations has the others."""
PREVIOUS = Step("previous", "←", "Previous feature (left arrow key)")
NEXT = Step("next", "→", "Next feature (right arrow key)")
RANDOM = Step("random", "⤨", "A random feature among those that fire (key r)")


@dataclass(frozen=True)
class Kind:
    """One way in which features are related."""

    words: str
    step: str
    other: str
    """The column that has the other feature."""
    value: str
    meaning: str


KINDS = (
    Kind("Similar", "neighbors", "neighbor", "cosine", "cosine of the decoder directions"),
    Kind("Co-active", "coactivations", "other", "jaccard", "Jaccard index of the rows"),
)


def heading(queries: Queries, feature: int, extras: Iterable[Any] = ()) -> html.Div:
    """The feature's number, its neighbours, and its statistics; extras stand between title and statistics."""
    last = queries.d_sae() - 1
    steps = html.Div(
        [
            _step(queries, PREVIOUS, feature - 1 if feature else None),
            _step(queries, NEXT, feature + 1 if feature < last else None),
            _step(queries, RANDOM, random_feature(queries, np.random.default_rng())),
        ],
        className="steps-nav",
    )
    title = [
        html.H1(["Feature ", html.Span(f"{feature}", id="feature-title")]),
        steps,
        *_badges(queries, feature),
        html.Div(className="grow"),
        html.Div(_ways_out(queries, feature), className="ways-out"),
    ]
    stats = filled(queries, "feature_stats", lambda: _statistics(queries, feature))
    related = still(element("Div", _related(queries, feature), className="related"))
    parts = [html.Div(title, className="feature-title"), related, *extras, stats]
    return html.Div(parts, className="page-head")


def random_feature(queries: Queries, generator: np.random.Generator) -> int:
    """A feature that fires somewhere; any, where that is not known or none does."""
    firing = optional(lambda: _firing(queries))
    if firing is None or not len(firing):
        return int(generator.integers(queries.d_sae()))
    return int(generator.choice(firing))


def _firing(queries: Queries) -> NDArray[Any]:
    def found() -> NDArray[Any]:
        stats = queries.tables.table("feature_stats", "feature_stats")
        return stats["feature"].to_numpy()[stats["n_nonzero"].to_numpy() > 0]

    return queries.tables.derived("firing features", "feature_stats", found)


def _step(queries: Queries, step: Step, feature: int | None) -> Any:
    href = None if feature is None else queries.href(feature_path(feature))
    return step_link(step, href, look="keeps-view")


def _badges(queries: Queries, feature: int) -> list[Any]:
    """What kind of feature it is, in a word or two."""
    try:
        found = queries.statistics(feature)
    except LightwellError:
        return []
    shown: list[Any] = []
    if found.is_silent:
        shown.append(html.Span("never fires", className="state missing"))
    if found.cluster is not None and found.cluster >= 0:
        link = queries.href(f"/features?cluster=startsWith:{found.cluster}%20%C2%B7")
        words = f"cluster {found.cluster}" + (f": {found.cluster_label}" if found.cluster_label else "")
        shown.append(dcc.Link(words, href=link, className="cluster-link", title="Features of this cluster"))
    return shown


def _related(queries: Queries, feature: int) -> list[Any]:
    """A few features that point the same way, a few that fire together with it; none that are not known."""
    rows: list[Any] = []
    for kind in KINDS:
        chips = optional(partial(_chips, queries, feature, kind))
        if chips:
            rows += [element("Span", kind.words, className="dim", title=f"By {kind.meaning}"), *chips]
    return rows


def _chips(queries: Queries, feature: int, kind: Kind) -> list[Any]:
    table = queries.rows_of(kind.step, feature).head(CHIPS_SHOWN)
    pairs = zip(table[kind.other], table[kind.value], strict=True)
    return [feature_chip(queries, f, f"{number:.2f}", f"{kind.meaning}: {number:.4f}") for f, number in pairs]


def _ways_out(queries: Queries, feature: int) -> list[Any]:
    """The address and the code that lead here."""
    code = html.Pre(snippet(queries, feature), id="snippet", tabIndex=0)
    copy = element("Button", "Copy code", className="quiet-button copies-text", **{"data-from": "snippet"})
    python = dmc.Popover(
        [
            dmc.PopoverTarget(
                html.Button("Python", className="quiet-button", title="Code for the same data")
            ),
            dmc.PopoverDropdown([code, copy], className="snippet"),
        ],
        position="bottom-end",
        # Its roles would go to a wrapper that is no button.
        withRoles=False,
        shadow="md",
        withArrow=True,
    )
    link = html.Button(
        "Copy link", className="quiet-button copies-text", title="Copy the address of what is shown now"
    )
    place = with_parameters("/map", {"colour": "similarity", "feature": str(feature)})
    on_map = dcc.Link(
        "On the map",
        href=queries.href(place),
        className="quiet-button",
        title="All features by cosine with it",
    )
    return [on_map, link, python]


def _statistics(queries: Queries, feature: int) -> Any:
    """The statistics as tiles."""
    found = queries.statistics(feature)
    return tiles([*_activity(found), *_strength(found), *_directions(found)])


def _activity(found: FeatureStatistics) -> list[Fact]:
    s = found.stats
    n_examples = s.get("n_examples")
    return [
        Fact(
            "Active rows",
            formats.count(s["n_nonzero"]),
            f"of {formats.count(s['n_rows'])}",
            "Rows (token positions) on which the activation a is not zero, out of all N rows",
        ),
        Fact(
            "Share active",
            formats.share(s["frac_active"]),
            f"sparsity {formats.decimal(s.get('sparsity'), 4)}",
            "Active rows / all rows (frac_active); sparsity = 1 - that share",
        ),
        Fact(
            "Examples",
            formats.count(n_examples),
            "with it active",
            "Examples in which the feature fires at least once",
        ),
    ]


def _strength(found: FeatureStatistics) -> list[Fact]:
    s, d = found.stats, formats.decimal
    quartiles = f"IQR {d(s['q25'])} to {d(s['q75'])}" if s["q25"] is not None else "never active"
    return [
        Fact(
            "Maximum",
            d(s["max"]),
            f"minimum {d(s['min'])}",
            "Largest and smallest activation over all rows, zeros included",
        ),
        Fact(
            "Mean (active)",
            d(s["mean_active"]),
            f"{d(s['mean'])} overall",
            "Σ a / active rows; overall: Σ a / N, zeros included",
        ),
        Fact(
            "Median (active)",
            d(s["median"]),
            quartiles,
            "Median of the non-zero activations, and their quartiles (IQR: the middle half)",
        ),
        Fact(
            "Std",
            d(s["std"]),
            "overall",
            "Standard deviation over all N rows, zeros included: √(Σ (a - mean)² / N)",
        ),
    ]


def _directions(found: FeatureStatistics) -> list[Fact]:
    skewness = found.logit.get("skewness")
    return [
        Fact(
            "Decoder norm",
            formats.decimal(found.stats.get("decoder_norm")),
            "length",
            "Euclidean length of its decoder row as decode uses it: √(Σ W_dec[f]²)",
        ),
        Fact(
            "Logit kurtosis",
            formats.decimal(found.logit.get("kurtosis")),
            f"skewness {formats.decimal(skewness)}",
            "Excess kurtosis of its logit effects x over the vocabulary, E[((x - mean) / std)⁴] - 3: "
            "high where few tokens stand out; skewness is E[((x - mean) / std)³]",
        ),
    ]

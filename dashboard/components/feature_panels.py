"""The panels of a feature's page, but for its examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard import figures, formats
from dashboard.components.browser import spoken
from dashboard.components.facts import Fact, tiles
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, filled, panel
from dashboard.components.tokens import feature_chip, phrase, token_table
from dashboard.queries import Queries
from dashboard.records import Effect, FeatureStatistics
from precompute.errors import LightwellError

GRAM_NAMES = {1: "Tokens", 2: "Pairs", 3: "Triples"}
CONTEXTS_SHOWN = 10
SILENT_SENTENCE = "This feature never fires on this corpus, so there is nothing to show here"


def badges(queries: Queries, feature: int) -> list[Any]:
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


def statistics(queries: Queries, feature: int) -> Any:
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
            "Rows (token positions) on which the activation is not zero",
        ),
        Fact(
            "Share active",
            formats.share(s["frac_active"]),
            "of rows",
            f"frac_active; sparsity = 1 − it = {formats.decimal(s.get('sparsity'), 6)}",
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
            "Mean over the rows on which it fires",
        ),
        Fact(
            "Median (active)",
            d(s["median"]),
            quartiles,
            "Median of the non-zero activations, and their quartiles (IQR: the middle half)",
        ),
        Fact("Std", d(s["std"]), "overall", "Standard deviation (ddof 0), zeros included"),
    ]


def _directions(found: FeatureStatistics) -> list[Fact]:
    skewness = found.logit.get("skewness")
    return [
        Fact(
            "Decoder norm",
            formats.decimal(found.stats.get("decoder_norm")),
            "length",
            "Euclidean length of its decoder row, as decode uses it",
        ),
        Fact(
            "Logit kurtosis",
            formats.decimal(found.logit.get("kurtosis")),
            f"skewness {formats.decimal(skewness)}",
            "Excess kurtosis of its logit effects over the vocabulary: high where few tokens stand out",
        ),
    ]


def choice(name: str, options: Sequence[tuple[str, str]], value: str, label: str) -> dmc.SegmentedControl:
    """A choice of one among a few."""
    data = [{"value": key, "label": words} for key, words in options]
    return dmc.SegmentedControl(id=name, data=data, value=value, size="xs", **spoken(label))


def histogram_panel(queries: Queries, feature: int, rows: str, scale: str) -> Any:
    """How strongly the feature fires, how often."""
    controls = dmc.Group(
        [
            choice(
                "histogram-rows", (("nonzero", "Non-zero"), ("all", "All")), rows, "Rows that are counted"
            ),
            choice("histogram-scale", (("linear", "Linear"), ("log", "Log")), scale, "Scale of the counts"),
        ],
        gap="xs",
    )

    def content() -> Any:
        found = queries.histogram(feature)
        if not found.counts.sum():
            return empty(SILENT_SENTENCE)
        words = figures.summary(found, "rows on which it fires")
        return graph("histogram-figure", histogram_figure(queries, feature, rows, scale), words)

    return panel(
        "Activations", filled(queries, "histograms", content), controls=controls, anchor="activations"
    )


def histogram_figure(queries: Queries, feature: int, rows: str, scale: str) -> figures.Figure:
    """The histogram as chosen."""
    return figures.activation_histogram(queries.histogram(feature), rows == "all", scale == "log")


def effects_panel(queries: Queries, feature: int) -> Any:
    """The tokens whose logits the feature moves most."""

    def content() -> Any:
        found = queries.effects(feature)
        words = "Promoted and suppressed tokens as bars; the numbers are in the tables below."
        tables = html.Div(
            [_way("Promoted", found.promoted), _way("Suppressed", found.suppressed)], className="ways"
        )
        return [graph("effects-figure", figures.token_bars(found.promoted, found.suppressed), words), tables]

    return panel(
        "Direct logit effect",
        filled(queries, "influences", content),
        explanation="What one unit of activation adds to each token's logit by the direct path: "
        "s · (W_dec[f] ⊙ gain) · W_U, with s the mean inverse scale of the final norm.",
        anchor="effects",
    )


def _way(name: str, effects: Sequence[Effect]) -> html.Div:
    tokens = [effect.token for effect in effects]
    numbers = [formats.signed(effect.influence, 4) for effect in effects]
    return token_table(tokens, [numbers], [name, "Logits per unit"], f"{name} tokens")


def logit_panel(queries: Queries, feature: int) -> Any:
    """How the feature's effect is spread over the vocabulary."""

    def content() -> Any:
        found = queries.logit_histogram(feature)
        return graph("logit-figure", figures.logit_histogram(found), figures.summary(found, "tokens"))

    return panel(
        "Effect on the whole vocabulary",
        filled(queries, "logit_stats", content),
        explanation="The direct logit effect on every token, counted.",
        anchor="logits",
    )


def contexts_panel(queries: Queries, feature: int) -> Any:
    """What the feature fires on: tokens, pairs and triples that end where it does."""

    def content() -> Any:
        table = queries.rows_of("token_contexts", feature)
        if table.is_empty():
            return empty(SILENT_SENTENCE)
        lengths = sorted(table["n"].unique().to_list())
        grams = [_contexts(queries, n, table.filter(n=n).head(CONTEXTS_SHOWN)) for n in lengths]
        return html.Div(grams, className="grams")

    return panel(
        "Fires on",
        filled(queries, "token_contexts", content),
        explanation="N-grams that end at the active token: how often the feature fires on them, "
        "on which share of their occurrences in the corpus, and how strongly on average.",
        anchor="contexts",
    )


def _contexts(queries: Queries, n: int, table: Any) -> html.Table:
    tokens = queries.vocabulary()
    head = html.Tr(
        [html.Th(GRAM_NAMES.get(n, f"{n}-grams"), scope="col")]
        + [html.Th(name, scope="col", className="num") for name in ("Active", "Share", "Mean")]
    )
    rows = [
        html.Tr(
            [
                html.Td(phrase(tokens[i] for i in row["ngram"])),
                html.Td(formats.count(row["count"]), className="num"),
                html.Td(formats.share(row["share"]), className="num"),
                html.Td(formats.decimal(row["mean_act"]), className="num"),
            ]
        )
        for row in table.iter_rows(named=True)
    ]
    return html.Table([html.Thead(head), html.Tbody(rows)], className="plain-table")


def tfidf_panel(queries: Queries, feature: int) -> Any:
    """The tokens typical of the surroundings of where the feature fires."""

    def content() -> Any:
        table = queries.rows_of("tfidf", feature).sort("rank")
        if table.is_empty():
            return empty(SILENT_SENTENCE)
        shares = [formats.share(v) for v in table["tf"]]
        scores = [formats.decimal(v) for v in table["tfidf"]]
        tokens = table["token"].to_list()
        return token_table(tokens, [shares, scores], ["Token", "Share of windows", "TF-IDF"], "TF-IDF tokens")

    return panel(
        "Typical tokens around it",
        filled(queries, "tfidf", content),
        explanation="TF-IDF over windows of 5 tokens each side of active rows: tf · ln((N+1)/(df+1)), "
        "with tf the share of the windows' tokens, df the examples that hold the token, N all examples.",
        anchor="tfidf",
    )


def relations_panel(queries: Queries, feature: int) -> Any:
    """Features that point the same way, and features that fire on the same rows."""
    nearest = filled(queries, "neighbors", lambda: _nearest(queries, feature))
    together = filled(queries, "coactivations", lambda: _together(queries, feature))
    parts = [
        html.H3("Nearest decoder directions (cosine)", className="sub"),
        nearest,
        html.H3("Fires on the same rows (Jaccard)", className="sub"),
        together,
    ]
    return panel("Related features", parts, anchor="relations")


def _nearest(queries: Queries, feature: int) -> Any:
    table = queries.rows_of("neighbors", feature).sort("rank")
    if table.is_empty():
        return empty("No neighbour is listed for this feature")
    rows = zip(table["neighbor"], table["cosine"], strict=True)
    chips = [feature_chip(queries, other, f"{cosine:.2f}", f"cosine {cosine:.4f}") for other, cosine in rows]
    return html.Div(chips, className="chips", id="neighbors")


def _together(queries: Queries, feature: int) -> Any:
    table = queries.rows_of("coactivations", feature).sort("rank")
    if table.is_empty():
        return empty("No other feature fires on the same rows")
    chips = [
        feature_chip(queries, row["other"], f"{row['jaccard']:.2f}", _together_title(row))
        for row in table.iter_rows(named=True)
    ]
    return html.Div(chips, className="chips", id="coactivations")


def _together_title(row: dict[str, Any]) -> str:
    numbers = [
        f"{name} {row[name]:.3f}" for name in ("jaccard", "pearson", "lift") if row.get(name) is not None
    ]
    return ", ".join([*numbers, f"both active on {formats.plural(row['n_both'], 'row')}"])

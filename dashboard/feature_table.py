"""The table of all features: statistics joined with what other artifacts say of each."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dashboard.token_view import label

TOKENS_SHOWN = 3
"""Promoted tokens in a cell."""
STATISTICS = ("feature", "frac_active", "n_nonzero", "max", "mean_active", "decoder_norm")
BETWEEN = "  "
"""Between tokens in a cell; tokens themselves show no plain space."""

Reader = Callable[[str], pl.DataFrame | None]
"""A table by its name; None where it is absent."""


def visible_labels(tokens: list[str]) -> pl.Series:
    """The visible form of every token of a vocabulary, in its order."""
    return pl.Series("label", [label(token) for token in tokens], dtype=pl.String)


def build(statistics: pl.DataFrame, read: Reader, labels: Callable[[], pl.Series]) -> pl.DataFrame:
    """One row a feature: the columns whose artifacts exist, and `searchable`, the raw tokens."""
    table = statistics.select(STATISTICS).sort("feature")
    for part in (_promoted(read, labels), _tfidf(read), _kurtosis(read), _clusters(read)):
        table = table if part is None else table.join(part, on="feature", how="left", maintain_order="left")
    # A silent feature has a maximum of 0, and no mean over rows that do not exist.
    return table.with_columns(pl.col("mean_active").fill_nan(None))


def _promoted(read: Reader, labels: Callable[[], pl.Series]) -> pl.DataFrame | None:
    table = read("influences")
    if table is None:
        return None
    top = (
        table.lazy()
        .filter(pl.col("direction") == "promotes", pl.col("rank") < pl.col("rank").min() + TOKENS_SHOWN)
        .sort("feature", "rank")
        .select("feature", "token_id", "token")
        .collect()
    )
    spelled = labels().gather(top["token_id"])
    joined = pl.col("token").str.join("\n")
    return (
        top.with_columns(promotes=spelled)
        .group_by("feature", maintain_order=True)
        .agg(pl.col("promotes").str.join(BETWEEN), searchable=joined)
    )


def _tfidf(read: Reader) -> pl.DataFrame | None:
    table = read("tfidf")
    if table is None:
        return None
    first = table.lazy().filter(pl.col("rank") == pl.col("rank").min()).select("feature", "token").collect()
    spelled = [label(token) for token in first["token"]]
    return first.select("feature").with_columns(tfidf=pl.Series(spelled, dtype=pl.String)).unique("feature")


def _kurtosis(read: Reader) -> pl.DataFrame | None:
    table = read("logit_stats")
    return None if table is None else table.select("feature", "kurtosis")


def _clusters(read: Reader) -> pl.DataFrame | None:
    """Clusters by number and label, since two may have the same label."""
    table = read("feature_map")
    if table is None:
        return None
    name = pl.format("{} · {}", "cluster", pl.col("label").fill_null(""))
    shown = pl.when(pl.col("cluster") >= 0).then(name)
    return table.select("feature", cluster=shown)

"""The table of all features: statistics joined with what other artifacts say of each."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dashboard.columns import taken_from
from dashboard.token_view import label

TOKENS_SHOWN = 3
"""Promoted or suppressed tokens in a cell."""
LONG = ("label", "notes")
LONGEST_CELL = 300
"""Characters of what a person wrote."""
BETWEEN = "  "
"""Between tokens in a cell; tokens themselves show no plain space."""

Reader = Callable[[str], pl.DataFrame | None]
"""A table by its name; None where it is absent."""
Labels = Callable[[], pl.Series]
"""The visible form of every token of the vocabulary, by its id."""


def visible_labels(tokens: list[str]) -> pl.Series:
    """The visible form of every token of a vocabulary, in its order."""
    return pl.Series("label", [label(token) for token in tokens], dtype=pl.String)


def build(statistics: pl.DataFrame, read: Reader, labels: Labels) -> pl.DataFrame:
    """One row a feature: the columns whose artifacts exist, and `searchable`, the raw tokens."""
    table = _chosen(statistics, "feature_stats").sort("feature")
    parts = (
        *_effects(read, labels),
        _tfidf(read),
        _logit_stats(read),
        _first(read, "neighbors"),
        _first(read, "coactivations"),
        _clusters(read),
    )
    for part in parts:
        table = table if part is None else table.join(part, on="feature", how="left", maintain_order="left")
    # A silent feature has a maximum of 0, and no mean over rows that do not exist; absent is never NaN.
    return table.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def brief(table: pl.DataFrame) -> pl.DataFrame:
    """Rows as a page shows them: without what is only searched, and with long notes cut."""
    return table.drop("searchable", strict=False).with_columns(pl.col(*LONG).str.head(LONGEST_CELL))


def _chosen(table: pl.DataFrame, step: str) -> pl.DataFrame:
    """The columns that the feature table takes from an artifact; one that it lacks is left out."""
    wanted = {name: source for name, source in taken_from(step).items() if source in table.columns}
    return table.select("feature", *(pl.col(s).alias(n) for n, s in wanted.items() if n != "feature"))


def _effects(read: Reader, labels: Labels) -> list[pl.DataFrame]:
    """The tokens that each feature promotes and suppresses, and the raw promoted ones to search in."""
    table = read("influences")
    if table is None:
        return []
    lowest = pl.col("rank").min()
    top = table.lazy().filter(pl.col("rank") < lowest + TOKENS_SHOWN).sort("feature", "rank").collect()
    spelled = labels()
    promoted = _joined(top, "promotes", spelled, raw="searchable")
    return [promoted, _joined(top, "suppresses", spelled)]


def _joined(top: pl.DataFrame, direction: str, labels: pl.Series, raw: str = "") -> pl.DataFrame:
    """One row a feature: its tokens of one direction as a cell shows them, and as they are under `raw`."""
    chosen = top.filter(pl.col("direction") == direction).select("feature", "token_id", "token")
    cells = [pl.col(direction).str.join(BETWEEN)]
    cells += [pl.col("token").str.join("\n").alias(raw)] if raw else []
    named = chosen.with_columns(labels.gather(chosen["token_id"]).alias(direction))
    return named.group_by("feature", maintain_order=True).agg(cells)


def _tfidf(read: Reader) -> pl.DataFrame | None:
    table = read("tfidf")
    if table is None:
        return None
    first = table.lazy().filter(pl.col("rank") == pl.col("rank").min()).select("feature", "token").collect()
    spelled = [label(token) for token in first["token"]]
    return first.select("feature").with_columns(tfidf=pl.Series(spelled, dtype=pl.String)).unique("feature")


def _logit_stats(read: Reader) -> pl.DataFrame | None:
    table = read("logit_stats")
    return None if table is None else _chosen(table, "logit_stats")


def _first(read: Reader, step: str) -> pl.DataFrame | None:
    """Each feature's best of a ranked table."""
    table = read(step)
    if table is None:
        return None
    best = table.filter(pl.col("rank") == pl.col("rank").min()) if table.height else table
    return _chosen(best, step).unique("feature", keep="first", maintain_order=True)


def _clusters(read: Reader) -> pl.DataFrame | None:
    """Clusters by number and label, since two may have the same label."""
    table = read("feature_map")
    if table is None:
        return None
    name = pl.format("{} · {}", "cluster", pl.col("label").fill_null(""))
    shown = pl.when(pl.col("cluster") >= 0).then(name)
    return table.select("feature", cluster=shown)

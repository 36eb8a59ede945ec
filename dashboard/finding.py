"""Where a few typed characters may lead: features by number, label, token or cluster; pages; model types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from dashboard.address import AddressError, feature_path, shortened, with_parameters
from dashboard.grid import LONGEST_SEARCH
from dashboard.queries import Queries
from dashboard.saved_views import SavedViews
from dashboard.tables import optional

Kind = Literal["feature", "cluster", "page", "view", "model type"]
MOST_FEATURES, MOST_CLUSTERS, MOST_VIEWS = 10, 3, 5
LABEL = "label"
"""The column of the feature table that holds what people call a feature, where there is one."""

WHOLE = {LABEL: "label lines", "searchable": "token lines", "tfidf": "tfidf lines"}
"""Columns in which a whole token counts for more, and where the index keeps them line by line."""


@dataclass(frozen=True)
class Found:
    """One place to go to."""

    kind: Kind
    title: str
    detail: str
    href: str
    """The address, from the server's root."""


@dataclass(frozen=True)
class Destination:
    """A page that can be named."""

    title: str
    description: str
    path: str


def find(queries: Queries, text: object, pages: Sequence[Destination]) -> list[Found]:
    """Places for what somebody typed, the likeliest first; raises AddressError for what is no text.

    Nothing typed gives the pages, the saved views and the other model types.
    """
    if not isinstance(text, str) or len(text) > LONGEST_SEARCH:
        raise AddressError(
            f"a search for {shortened(text)}", f"at most {LONGEST_SEARCH} characters", "shorten it"
        )
    wanted = text.strip().lower()
    named = [*_pages(queries, wanted, pages), *_views(queries, wanted), *_model_types(queries, wanted)]
    if not wanted:
        return named
    index = optional(lambda: _index(queries))
    if index is None:
        return named
    return [*_numbers(queries, index, wanted), *named, *_features(queries, index, wanted)]


def _pages(queries: Queries, wanted: str, pages: Sequence[Destination]) -> Iterator[Found]:
    for page in pages:
        if wanted in page.title.lower():
            yield Found("page", page.title, page.description, queries.href(page.path))


def _views(queries: Queries, wanted: str) -> list[Found]:
    saved = optional(SavedViews(queries.artifacts.directory).listed) or ()
    hits = [view for view in saved if wanted in view.name.lower()]
    return [Found("view", v.name, "saved view", queries.href(v.path)) for v in hits[:MOST_VIEWS]]


def _model_types(queries: Queries, wanted: str) -> Iterator[Found]:
    place = queries.place
    for name in place.names:
        if name != place.name and wanted in name.lower():
            yield Found("model type", name, "another model type", f"{place.base_of(name)}/")


def _index(queries: Queries) -> pl.DataFrame:
    """The feature table's texts, in lower case once and for all."""
    table = queries.feature_table()

    def lowered() -> pl.DataFrame:
        there = [c for c in (LABEL, "searchable", "promotes", "tfidf", "cluster") if c in table.columns]
        lower = [pl.col(name).str.to_lowercase().fill_null("") for name in there]
        number = pl.col("feature").cast(pl.String).alias("number")
        index = table.select("feature", number, *lower)
        return index.with_columns(_lines(name) for name in there if name in WHOLE)

    return queries.tables.memo.get("finding", queries.table_version(), lowered)


def _numbers(queries: Queries, index: pl.DataFrame, wanted: str) -> list[Found]:
    """The feature of that very number, then those whose number begins so."""
    digits = wanted.replace(",", "").replace(" ", "")
    if not digits.isascii() or not digits.isdecimal():
        return []
    digits = digits.lstrip("0") or "0"
    hits = index.filter(pl.col("number").str.starts_with(digits)).head(MOST_FEATURES // 2)
    return _shown(queries, hits["feature"].to_list())


def _features(queries: Queries, index: pl.DataFrame, wanted: str) -> Iterator[Found]:
    """Clusters and features whose label or tokens hold the text; whole tokens before parts of tokens."""
    texts = [name for name in (LABEL, "searchable", "promotes", "tfidf") if name in index.columns]
    holds = [pl.col(name).str.contains(wanted, literal=True) for name in texts]
    if "cluster" in index.columns:
        yield from _clusters(queries, index.filter(pl.col("cluster").str.contains(wanted, literal=True)))
    if not holds:
        return
    whole = "\n" + wanted.replace(" ", "") + "\n"
    lines = [WHOLE[name] for name in texts if name in WHOLE]
    scores = [pl.col(name).str.contains(whole, literal=True).cast(pl.Int32) for name in lines]
    scores += [4 * holds[0].cast(pl.Int32)] if texts[0] == LABEL else []
    best = index.filter(pl.any_horizontal(holds)).select("feature", score=pl.sum_horizontal(scores))
    hits = best.sort("score", "feature", descending=[True, False]).head(MOST_FEATURES)
    yield from _shown(queries, hits["feature"].to_list())


def _lines(column: str) -> pl.Expr:
    """The raw tokens of a cell, or its one text, without spaces, each between line ends."""
    bare = pl.col(column).str.replace_all(" ", "", literal=True)
    return pl.concat_str(pl.lit("\n"), bare, pl.lit("\n")).alias(WHOLE[column])


def _clusters(queries: Queries, members: pl.DataFrame) -> Iterator[Found]:
    table = queries.feature_table()
    names = table.filter(pl.col("feature").is_in(members["feature"].implode()))["cluster"]
    counted = names.value_counts().sort("count", "cluster", descending=[True, False]).head(MOST_CLUSTERS)
    for name, size in counted.iter_rows():
        number, _, words = name.partition(" · ")
        path = with_parameters("/features", {"cluster": f"startsWith:{number} ·"})
        yield Found("cluster", f"Cluster {number}", f"{words} ({size:,} features)", queries.href(path))


def _shown(queries: Queries, features: Sequence[int]) -> list[Found]:
    table = queries.feature_table()
    rows = table.filter(pl.col("feature").is_in(list(features))) if features else table.clear()
    found = {row["feature"]: row for row in rows.iter_rows(named=True)}
    return [
        Found("feature", f"Feature {number}", _detail(found[number]), queries.href(feature_path(number)))
        for number in features
    ]


def _detail(row: dict[str, Any]) -> str:
    """What tells a feature from others: its label, or what it promotes."""
    if row.get(LABEL):
        return str(row[LABEL])
    parts = {"promotes": row.get("promotes"), "TF-IDF": row.get("tfidf")}
    return " · ".join(f"{name} {tokens}" for name, tokens in parts.items() if tokens)

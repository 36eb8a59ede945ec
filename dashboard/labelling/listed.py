"""Everything labelled or noted, as rows of the feature table, and how far the work has come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from dashboard import grid
from dashboard.feature_table import brief
from dashboard.queries import Queries
from dashboard.records import RowPage

NEWEST_FIRST = (grid.Sort("edited", descending=True),)
"""How the list is sorted until somebody sorts it otherwise."""


@dataclass(frozen=True)
class Progress:
    """How far the labelling has come."""

    n_firing: int
    n_labelled: int
    """Firing features with a label."""
    n_silent: int
    """Features with a label that never fire on this corpus."""
    n_noted: int
    """Features with notes or a category, but without a label."""
    mean_confidence: float | None
    """In percent, over the labels that have one."""
    n_authors: int


def progress(queries: Queries) -> Progress:
    """Counts over what is said now."""
    stats = queries.tables.table("feature_stats", "feature_stats")
    firing = set(stats.filter(pl.col("n_nonzero") > 0)["feature"].to_list())
    said = queries.labels.said()
    labelled = [change for change in said if change.content.label]
    sure = [c.content.confidence for c in labelled if c.content.confidence is not None]
    n_labelled = sum(change.feature in firing for change in labelled)
    return Progress(
        n_firing=len(firing),
        n_labelled=n_labelled,
        n_silent=len(labelled) - n_labelled,
        n_noted=len(said) - len(labelled),
        mean_confidence=sum(sure) / len(sure) if sure else None,
        n_authors=len({change.author for change in said}),
    )


def said_rows(queries: Queries, view: grid.View, rows: range) -> RowPage:
    """Some rows of everything labelled or noted, as a view orders them."""
    table, members = queries.feature_table(), [change.feature for change in queries.labels.said()]
    sorted_view = view if view.sorts else replace(view, sorts=NEWEST_FIRST)
    found = grid.order(table, sorted_view, members)
    return RowPage(brief(table[found[rows.start : rows.stop]]).to_dicts(), len(found))

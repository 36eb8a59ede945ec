"""Questions about the statements of an embedding set: which light up, which are alike, what is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard import grid
from dashboard.address import AddressError, feature_number, one_of, shortened
from dashboard.embedded import OpenedSet
from dashboard.grid import LONGEST_SEARCH
from dashboard.queries import Queries
from dashboard.questions.feature_map import Corner, corners, inside
from dashboard.tables import optional

COLUMN = "column:"
"""Before a metadata column's name, among the things that points can be coloured by."""
COLOURS = ("cluster", "density", "feature")
"""What points can be coloured by, besides columns of the metadata."""
CHOICES = ("colour", "feature", "search", "meaning", "cluster", "area")
"""What a person chooses on the map: parameters of the address and inputs of the page, in one order."""
PARAMETERS = frozenset({"model", "size", "row", "sort", *CHOICES})
MEANING_ROWS = 100
"""Statements that a search by meaning lights up."""
NEAREST = 10
"""Statements listed beside an opened one."""


@dataclass(frozen=True)
class StatementView:
    """What a person chose on the map of statements; hashable."""

    colour: str = COLOURS[0]
    feature: int | None = None
    """The feature whose activation colours the points."""
    search: str = ""
    """A text that statements contain, in whatever case."""
    meaning: str = ""
    """A text that statements are near to in meaning."""
    cluster: int | None = None
    area: tuple[Corner, ...] = ()
    """Corners of a polygon; empty for none."""

    @property
    def chooses(self) -> bool:
        """Whether only some statements light up."""
        return bool(self.search or self.meaning or self.area or self.cluster is not None)


def statement_view(queries: Queries, opened: OpenedSet, chosen: Mapping[str, object]) -> StatementView:
    """The view that an address or a callback names, by CHOICES; raises AddressError for what is not valid."""
    feature, cluster = chosen.get("feature"), chosen.get("cluster")
    return StatementView(
        one_of(chosen.get("colour"), colours(opened), "colour"),
        None if feature is None or feature == "" else queries.known_feature(feature),
        grid.view_of_request({}, chosen.get("search")).search,
        _meaning(chosen.get("meaning")),
        None if cluster is None or cluster == "" else _known_cluster(opened, cluster),
        corners(chosen.get("area")),
    )


def colours(opened: OpenedSet) -> tuple[str, ...]:
    """All that the points of a set can be coloured by."""
    return (*COLOURS, *(COLUMN + name for name in opened.metadata_columns))


def _meaning(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCH:
        wanted = f"at most {LONGEST_SEARCH} characters"
        raise AddressError(f"a search by meaning for {shortened(value)}", wanted, "shorten it")
    return value.strip()


def _known_cluster(opened: OpenedSet, value: object) -> int:
    known = opened.clusters["cluster"].to_list()
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value
    if not isinstance(number, int) or isinstance(number, bool) or number not in known:
        wanted = f"a cluster from 0 to {max(known)}" if known else "none, since the map has no clusters"
        raise AddressError(f"cluster {shortened(value)}", wanted, "choose a cluster on the page")
    return number


def known_row(opened: OpenedSet, value: object) -> int | None:
    """The opened statement; None for none. Raises AddressError for one that the set does not have."""
    if value is None or value == "":
        return None
    try:
        return feature_number(value, opened.n)
    except AddressError as error:
        raise AddressError(error.found.replace("feature", "row"), error.expected, error.remedy) from None


# What lights up.


def hits(queries: Queries, opened: OpenedSet, meaning: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows nearest in meaning to a text, with their cosines, the nearest first. Asks the embedding model in
    its own process: raises LightwellError where that has no answer."""
    from precompute.embeddings.search import nearest_rows

    # Outside of what is remembered: while the model is loaded, nobody else may have to wait for an answer.
    vector = queries.embedders.vector(opened, meaning)

    def found() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        nearest = nearest_rows(opened.embedded.vectors, vector, MEANING_ROWS)
        return nearest.rows, nearest.cosines

    return queries.tables.memo.get(("meaning", opened.name, meaning), opened.version, found)


def containing(queries: Queries, opened: OpenedSet, text: str) -> NDArray[np.int64]:
    """The rows whose text contains another, in whatever case."""

    def found() -> NDArray[np.int64]:
        holds = pl.col("text").str.to_lowercase().str.contains(text.lower(), literal=True)
        rows = opened.embedded.metadata.filter(holds).select("row").collect()["row"]
        return rows.to_numpy().astype(np.int64)

    return queries.tables.memo.get(("containing", opened.name, text), opened.version, found)


def lit(queries: Queries, opened: OpenedSet, view: StatementView) -> NDArray[np.int64] | None:
    """The rows that a view lights up, ascending; None where it chooses none, so that all do."""
    if not view.chooses:
        return None
    if view.meaning:
        hits(queries, opened, view.meaning)
    # Colours change nothing here.
    asked = replace(view, colour=COLOURS[0], feature=None)
    question = ("lit statements", opened.name, asked)
    return queries.tables.memo.get(question, opened.version, lambda: _lit(queries, opened, asked))


def _lit(queries: Queries, opened: OpenedSet, view: StatementView) -> NDArray[np.int64]:
    mask = np.ones(opened.n, dtype=bool)
    if view.search:
        mask &= _mask(opened.n, containing(queries, opened, view.search))
    if view.meaning:
        mask &= _mask(opened.n, hits(queries, opened, view.meaning)[0])
    if view.cluster is not None:
        mask &= opened.points["cluster"].to_numpy() == view.cluster
    if view.area:
        mask &= inside(*opened.places, view.area)
    return np.flatnonzero(mask)


def _mask(n: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask


def density(queries: Queries, opened: OpenedSet) -> NDArray[np.float64]:
    """[n]: the density weight of each statement's text in shares of the uniform one, by the set's own
    neighbour graph and the usual settings: more in sparse regions; NaN for a vector of norm zero."""
    from precompute.density.weights import WeightSettings, distinct_weights, mean_distance

    def found() -> NDArray[np.float64]:
        graph = opened.graph
        weights = np.full(len(graph.rows), np.nan)
        has_place = np.asarray(graph.index[:, :1] >= 0).all(axis=1)
        distances = mean_distance(np.asarray(graph.cosine, np.float64)[has_place])
        weights[has_place] = distinct_weights(distances, WeightSettings.model_validate({}))
        shares: NDArray[np.float64] = weights * has_place.sum()
        return shares[np.searchsorted(graph.rows, opened.first_rows)]

    return queries.tables.memo.get(("density of statements", opened.name), opened.version, found)


def listed(
    queries: Queries, opened: OpenedSet, view: StatementView, columns: Sequence[str] = ()
) -> pl.DataFrame:
    """What lights up, without texts: row, cluster, weight, cosine (of a search by meaning), activation (of
    the feature that colours, where that is known) and some columns of the metadata."""
    rows = lit(queries, opened, view)
    chosen = np.arange(opened.n) if rows is None else rows
    found: dict[str, Any] = {
        "row": chosen,
        "cluster": opened.points["cluster"].gather(chosen),
        "weight": density(queries, opened)[chosen],
    }
    if view.meaning:
        near, cosines = hits(queries, opened, view.meaning)
        of_row = np.full(opened.n, np.nan, dtype=np.float32)
        of_row[near] = cosines
        found["cosine"] = of_row[chosen]
    acts = optional(lambda: activation_of(queries, opened, view))
    if acts is not None:
        found["activation"] = acts[chosen]
    found |= {name: opened.column(name).gather(chosen) for name in columns if name in opened.metadata_columns}
    return pl.DataFrame(found).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def activation_of(queries: Queries, opened: OpenedSet, view: StatementView) -> NDArray[np.float32] | None:
    """[n]: the activation of the feature that a view chooses; None where it chooses none."""
    from dashboard.questions.statement_features import activation

    return None if view.feature is None else activation(queries, opened, view.feature)


def with_texts(opened: OpenedSet, table: pl.DataFrame) -> pl.DataFrame:
    """A table of rows with text and metadata of each; columns that it has already stay as they are."""
    found = opened.embedded.rows(table["row"].to_list())
    return table.hstack(found.drop(*table.columns, strict=False).get_columns())


# One statement.


@dataclass(frozen=True)
class Near:
    """Statements near to one in meaning, the nearest first."""

    rows: list[int]
    cosines: list[float]
    texts: list[str]


def nearest(opened: OpenedSet, row: int) -> Near:
    """The distinct texts nearest to a statement's, by the neighbour graph."""
    graph = opened.graph
    place = int(np.searchsorted(graph.rows, opened.first_rows[row]))
    there = np.flatnonzero(np.asarray(graph.index[place]) >= 0)[:NEAREST]
    near = np.asarray(graph.rows[np.asarray(graph.index[place])[there]]).tolist()
    texts = opened.embedded.rows(near)["text"].to_list()
    return Near(near, np.asarray(graph.cosine[place])[there].tolist(), texts)


def same_text(opened: OpenedSet, row: int) -> list[int]:
    """The other rows with the very same text."""
    first = opened.first_rows
    return [int(other) for other in np.flatnonzero(first == first[row]) if other != row]


def set_of(queries: Queries, parameters: Mapping[str, object]) -> OpenedSet:
    """The set that an address names. Raises AddressError, or ArtifactMissingError where it is not there."""
    return queries.embedded.open(queries.embedded.name(parameters))

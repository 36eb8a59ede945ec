"""Questions about the map of features: where each lies, which of them light up, how alike two are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard import grid
from dashboard.address import AddressError, one_of, shortened
from dashboard.queries import Queries
from dashboard.questions.tokens import decoder_directions
from dashboard.tables import optional

COLOURS = ("cluster", "frequency", "category", "similarity")
"""What the points can be coloured by."""
CHOICES = ("colour", "feature", "search", "cluster", "set", "area")
"""What a person chooses: the parameters of the map's address."""
STEPS = ("feature_map", "feature_stats", "influences", "tfidf", "corpus")
"""Steps whose artifacts the table of the map joins."""
FROM_FEATURES = ("promotes", "frac_active", "max")
"""Columns of the table of features that the map's table repeats."""
FEWEST_CORNERS, MOST_CORNERS = 3, 100
NOWHERE = "choose an area on the map"

Corner = tuple[float, float]


@dataclass(frozen=True)
class MapView:
    """What a person chose on the map; hashable."""

    colour: str = COLOURS[0]
    feature: int | None = None
    """The selected feature."""
    search: str = ""
    cluster: int | None = None
    members: str = ""
    """The name of a feature set."""
    area: tuple[Corner, ...] = ()
    """Corners of a polygon; empty for none."""

    @property
    def chooses(self) -> bool:
        """Whether only some features light up."""
        return bool(self.search or self.area or self.members or self.cluster is not None)


def map_view(queries: Queries, chosen: Mapping[str, object]) -> MapView:
    """The view that an address or a callback names, by CHOICES; raises AddressError for what is not valid."""
    feature, cluster = chosen.get("feature"), chosen.get("cluster")
    return MapView(
        one_of(chosen.get("colour"), COLOURS, "colour"),
        None if feature is None or feature == "" else queries.known_feature(feature),
        grid.view_of_request({}, chosen.get("search")).search,
        None if cluster is None or cluster == "" else _known_cluster(queries, cluster),
        _known_set(queries, chosen.get("set")),
        corners(chosen.get("area")),
    )


def _known_cluster(queries: Queries, value: object) -> int:
    known = clusters(queries)["cluster"].to_list()
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value
    if not isinstance(number, int) or isinstance(number, bool) or number not in known:
        wanted = f"a cluster from 0 to {max(known)}" if known else "none, since the map has no clusters"
        raise AddressError(f"cluster {shortened(value)}", wanted, "choose a cluster on the page")
    return number


def _known_set(queries: Queries, value: object) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise AddressError(f"set {shortened(value)}", "the name of a feature set", "choose one on the page")
    queries.labels.set_features(value)
    return value


def corners(value: object) -> tuple[Corner, ...]:
    """Corners spelled as `x:y,x:y,x:y`."""
    if value is None or value == "":
        return ()
    parts = value.split(",", MOST_CORNERS + 1) if isinstance(value, str) else []
    if not FEWEST_CORNERS <= len(parts) <= MOST_CORNERS:
        wanted = f"{FEWEST_CORNERS} to {MOST_CORNERS} corners such as 0.5:-1.2"
        raise AddressError(f"area {shortened(value)}", wanted, NOWHERE)
    return tuple(_corner(part) for part in parts)


def _corner(text: str) -> Corner:
    try:
        x, y = (float(part) for part in text.split(":"))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise AddressError(f"corner {shortened(text)}", "two numbers such as 0.5:-1.2", NOWHERE)
    return x, y


def map_table(queries: Queries) -> pl.DataFrame:
    """One row a feature: feature, x, y, cluster, label (of the cluster), named (both), and what is computed
    of promotes, frac_active and max. x and y are null for a direction of norm zero, which has no place."""
    version = tuple(queries.tables.fingerprint(step) for step in STEPS)

    def built() -> pl.DataFrame:
        table = queries.tables.table("feature_map", "feature_map")
        named = pl.when(pl.col("cluster") >= 0).then(pl.format("{} · {}", "cluster", label))
        table = table.with_columns(named=named)
        known = optional(queries.feature_table)
        if known is None:
            return table
        others = [name for name in FROM_FEATURES if name in known.columns]
        kept = known.select(pl.col("feature").cast(table.schema["feature"]), *others)
        return table.join(kept, on="feature", how="left", maintain_order="left")

    label = pl.col("label").fill_null("")
    return queries.tables.memo.get("map table", version, built)


def clusters(queries: Queries) -> pl.DataFrame:
    """cluster, named, n_features: the clusters of the map, the largest first."""
    found = map_table(queries).filter(pl.col("cluster") >= 0)
    counted = found.group_by("cluster", "named").agg(n_features=pl.len())
    return counted.sort("n_features", "cluster", descending=[True, False])


def lit(queries: Queries, view: MapView) -> pl.DataFrame:
    """The features that a view lights up, all where it chooses none: rows of `map_table`, with `similarity`
    where a feature is selected."""
    table = map_table(queries)
    if view.search:
        found = grid.apply(queries.feature_table(), grid.View(search=view.search))["feature"]
        table = table.filter(pl.col("feature").is_in(found.implode()))
    if view.cluster is not None:
        table = table.filter(pl.col("cluster") == view.cluster)
    if view.members:
        members = pl.Series(queries.labels.set_features(view.members), dtype=table.schema["feature"])
        table = table.filter(pl.col("feature").is_in(members.implode()))
    if view.area:
        table = table.filter(pl.Series(inside(table["x"].to_numpy(), table["y"].to_numpy(), view.area)))
    if view.feature is None:
        return table
    cosines = similarity(queries, view.feature)[table["feature"].to_numpy()]
    return table.with_columns(similarity=pl.Series(cosines, nan_to_null=True))


def categories(queries: Queries) -> dict[str, NDArray[np.int64]]:
    """int64 [n], ascending: the features of each category of labels, the most used category first; those
    that are labelled without a category are under the empty name, which comes last."""
    frame = optional(queries.labels.frame)
    if frame is None:
        return {}
    named = frame.filter(pl.col("label").fill_null("") != "").with_columns(pl.col("category").fill_null(""))
    found = {str(name): part["feature"].sort().to_numpy() for (name,), part in named.group_by("category")}
    return dict(sorted(found.items(), key=lambda item: (not item[0], -len(item[1]), item[0])))


def answers_version(queries: Queries) -> tuple[object, ...]:
    """Changes whenever what lights up may change: with the artifacts, the labels and the sets."""
    return (*(queries.tables.fingerprint(step) for step in STEPS), optional(queries.labels.version))


def similarity(queries: Queries, feature: int) -> NDArray[np.float32]:
    """Cosine of every decoder direction with one feature's: float32 [d_sae]; NaN where a norm is zero."""

    def unit() -> NDArray[np.float32]:
        directions = decoder_directions(queries)
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        return (directions / np.where(norms > 0, norms, np.nan)).astype(np.float32)

    units = queries.tables.derived("unit directions", "directions", unit)
    cosines: NDArray[np.float32] = units @ units[feature]
    return cosines


def inside(x: NDArray[np.float32], y: NDArray[np.float32], area: tuple[Corner, ...]) -> NDArray[np.bool_]:
    """Which points lie in a polygon, by the even-odd rule; a point without a place lies nowhere."""
    found = np.zeros(len(x), dtype=bool)
    for (x0, y0), (x1, y1) in zip(area, (*area[1:], area[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        found ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return found

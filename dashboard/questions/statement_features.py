"""SAE features on the statements of an embedding set: from a reading of the set where there is one, else from
the corpus where that holds a statement's text, else, for one statement, from the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.embedded import OpenedSet
from dashboard.queries import Queries
from dashboard.questions.differences import newcombe
from dashboard.questions.passages import Passage, checked_text, read, uses
from precompute.config import ImportedType
from precompute.embeddings import readings
from precompute.npy import open_npy
from precompute.reading import Artifacts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FEWEST_READ = 3
"""Statements on each side without which nothing is compared."""
STRONGEST = 12
"""Features listed of one statement."""
APART = 12
"""Features listed each way that set a selection apart."""
STEPS = ("corpus", "activations")


def reader(queries: Queries, opened: OpenedSet) -> Queries:
    """What knows the activations: the reading of the set where it is computed, or else the model type."""
    if isinstance(queries.model_type, ImportedType):
        return queries  # It has no model that could read.
    read = queries.tables.memo.get(("reading", opened.name), None, lambda: _reading(queries, opened))
    there = all(read.tables.fingerprint(step) for step in readings.STEPS)
    return read if there else queries


def _reading(queries: Queries, opened: OpenedSet) -> Queries:
    subject = readings.reading_of(queries.artifacts.subject, queries.embedded, opened.name)
    return Queries(Artifacts(subject))


def version(queries: Queries, opened: OpenedSet) -> tuple[object, ...]:
    """Names what activations on statements come from; another one as soon as a part is replaced."""
    return _version(reader(queries, opened), opened)


def corpus_examples(queries: Queries, opened: OpenedSet) -> NDArray[np.int64]:
    """[n_examples]: the number of the set's distinct text that each example of a reader is cut from, by
    its place in the neighbour graph's rows; -1 for examples of other texts. Raises ArtifactMissingError."""

    def found() -> NDArray[np.int64]:
        rows = opened.graph.rows
        ids = opened.column("text_id").gather(np.asarray(rows))
        known = pl.DataFrame({"text_id": ids, "place": np.arange(len(rows))})
        windows = queries.tables.table("windows", "corpus").select("text_id")
        joined = windows.join(known, on="text_id", how="left", maintain_order="left")
        return joined["place"].fill_null(-1).to_numpy()

    return queries.tables.memo.get(("corpus examples", opened.name), _version(queries, opened), found)


def texts_read(queries: Queries, opened: OpenedSet) -> NDArray[np.bool_]:
    """[n]: whether the activations on a statement's text are in a store."""
    places = corpus_examples(reader(queries, opened), opened)
    known = np.zeros(len(opened.graph.rows), dtype=bool)
    known[places[places >= 0]] = True
    return known[_distinct(opened)]


def activation(queries: Queries, opened: OpenedSet, feature: int) -> NDArray[np.float32]:
    """float32 [n]: the greatest activation of a feature on each statement's tokens; NaN for those whose
    text was not read. Raises ArtifactMissingError where the store is not there."""
    source = reader(queries, opened)

    def found() -> NDArray[np.float32]:
        active = source.activations(feature)
        owners = np.searchsorted(source.row_index().indptr, np.asarray(active.rows), "right") - 1
        all_places = corpus_examples(source, opened)
        places = all_places[owners]
        greatest = np.full(len(opened.graph.rows), np.nan, dtype=np.float32)
        greatest[all_places[all_places >= 0]] = 0
        kept = places >= 0
        np.maximum.at(greatest, places[kept], np.asarray(active.acts, dtype=np.float32)[kept])
        return greatest[_distinct(opened)]

    return source.tables.memo.get(
        ("activation on statements", opened.name, feature), _version(source, opened), found
    )


@dataclass(frozen=True)
class Presence:
    """Which features fire on which of a set's distinct texts that were read."""

    places: NDArray[np.int64]
    """[n_texts]: of each text in the neighbour graph's rows, ascending."""
    fires: csr_matrix
    """[n_texts, d_sae]: an entry for each feature that fires at least once on a text."""

    def counts(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[d_sae]: on how many of some texts each feature fires; `chosen` is [n_texts]."""
        of_chosen = np.repeat(chosen, np.diff(self.fires.indptr))
        return np.bincount(self.fires.indices[of_chosen], minlength=self.fires.shape[1])


def presence(queries: Queries, opened: OpenedSet) -> Presence:
    """The pairs of the whole set, from `example_features`; raises ArtifactMissingError without it."""
    source = reader(queries, opened)

    def found() -> Presence:
        from scipy.sparse import csr_matrix

        arrays, of_example = example_features(source), corpus_examples(source, opened)
        owned = np.flatnonzero(of_example >= 0)
        places, text = np.unique(of_example[owned], return_inverse=True)
        examples = csr_matrix(
            (
                np.ones(len(arrays["features"]), np.uint8),
                np.asarray(arrays["features"], np.int32),
                np.asarray(arrays["indptr"]),
            ),
            shape=(len(of_example), source.d_sae()),
        )
        of_text = csr_matrix(
            (np.ones(len(owned), np.uint8), (text, owned)), shape=(len(places), len(of_example))
        )
        return Presence(places, of_text @ examples)

    version = (_version(source, opened), source.tables.fingerprint("example_features"))
    return source.tables.memo.get(("presence", opened.name), version, found)


def example_features(queries: Queries) -> Mapping[str, NDArray[Any]]:
    """indptr, features, max_acts, counts: the features of each example, memory-mapped."""
    path = queries.artifacts.path("example_features")
    return queries.tables.reading(
        "example_features",
        lambda: {
            name: open_npy(path / f"{name}.npy") for name in ("indptr", "features", "max_acts", "counts")
        },
    )


@dataclass(frozen=True)
class Apart:
    """Features that tell statements that light up from the others."""

    n_inside: int
    """Distinct texts that light up and whose activations are known."""
    n_outside: int
    table: pl.DataFrame
    """feature, inside, outside (shares of texts on which it fires), difference, low, high (95 % interval),
    effect (Cohen's h)."""


def apart(queries: Queries, opened: OpenedSet, rows: NDArray[np.int64]) -> Apart:
    """What sets some statements apart from the rest; every distinct text counts once, and one that lights
    up anywhere is inside."""
    pairs = presence(queries, opened)
    inside = np.isin(pairs.places, _distinct(opened)[rows])
    n_inside, n_outside = int(inside.sum()), int((~inside).sum())
    if min(n_inside, n_outside) < FEWEST_READ:
        nothing = np.zeros(0, np.int64)
        return Apart(n_inside, n_outside, ranked(nothing, nothing, 1, 1))
    counts = pairs.counts(inside), pairs.counts(~inside)
    return Apart(n_inside, n_outside, ranked(*counts, n_inside, n_outside))


def ranked(inside: NDArray[Any], outside: NDArray[Any], n_inside: int, n_outside: int) -> pl.DataFrame:
    """The features with the greatest effect each way, from the texts on which each fires; those that fire on
    more of the texts inside first.

    The effect is Cohen's h = 2 asin √p − 2 asin √q (Cohen 1988), the interval Newcombe's.
    """
    a, b = inside.astype(np.float64), outside.astype(np.float64)
    p, q = a / n_inside, b / n_outside
    effect = 2 * np.arcsin(np.sqrt(p)) - 2 * np.arcsin(np.sqrt(q))
    ways = [np.argsort(-sign * effect, kind="stable")[:APART] for sign in (1, -1)]
    chosen = np.concatenate([way[sign * effect[way] > 0] for sign, way in zip((1, -1), ways, strict=True)])
    low, high = newcombe(a[chosen], n_inside, b[chosen], n_outside)
    columns = {"feature": chosen, "inside": p[chosen], "outside": q[chosen], "difference": (p - q)[chosen]}
    return pl.DataFrame({**columns, "low": low, "high": high, "effect": effect[chosen]})


@dataclass(frozen=True)
class Strongest:
    """The features that fire strongest on one statement."""

    features: list[int]
    maxima: list[float]
    n_firing: int
    from_store: bool
    """Whether they are of an activation store; otherwise the model has read the text now."""


def strongest(queries: Queries, opened: OpenedSet, row: int) -> Strongest:
    """The features of a statement; where no store has its text, the model reads it now."""
    place, source = _distinct(opened)[row], reader(queries, opened)
    examples = np.flatnonzero(corpus_examples(source, opened) == place)
    if not len(examples):
        text = checked_text(opened.embedded.rows([row])["text"][0])
        found = uses(read(queries, Passage(text=text)))
        best = found[:STRONGEST]
        return Strongest([u.feature for u in best], [u.maximum for u in best], len(found), from_store=False)
    arrays = example_features(source)
    spans = [slice(int(arrays["indptr"][e]), int(arrays["indptr"][e + 1])) for e in examples]
    features = np.concatenate([np.asarray(arrays["features"][span], dtype=np.int64) for span in spans])
    acts = np.concatenate([np.asarray(arrays["max_acts"][span], dtype=np.float64) for span in spans])
    distinct, which = np.unique(features, return_inverse=True)
    maxima = np.zeros(len(distinct))
    np.maximum.at(maxima, which, acts)
    order = np.lexsort((distinct, -maxima))[:STRONGEST]
    return Strongest(distinct[order].tolist(), maxima[order].tolist(), len(distinct), from_store=True)


def _distinct(opened: OpenedSet) -> NDArray[np.int64]:
    """[n]: the place of each statement's text in the neighbour graph's rows."""
    return np.searchsorted(opened.graph.rows, opened.first_rows)


def _version(queries: Queries, opened: OpenedSet) -> tuple[object, ...]:
    return (opened.version, *(queries.tables.fingerprint(step) for step in STEPS))

"""The embedding sets that a server knows by name, each opened once and kept as long as it is the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, one_of, shortened
from dashboard.memo import Memo
from precompute.corpus.subsets import SIZES
from precompute.embeddings.embedding_set import EmbeddingSet
from precompute.embeddings.freshness import STEPS
from precompute.embeddings.graph import GRAPH, Graph, read_graph
from precompute.embeddings.named import NamedSets, SetName
from precompute.errors import ArtifactMissingError
from precompute.pipeline.plan import StepStatus

OURS = ("row", "text_id", "text", "duplicate_of")
"""Columns of metadata.parquet that describe the row rather than its text."""
SECONDS_TRUSTED = 10.0
"""After which the states of a set are judged anew."""


class OpenedSet:
    """One embedding set as it was published when it was opened; whatever is read of it is kept."""

    def __init__(self, name: SetName, embedded: EmbeddingSet, version: tuple[str, ...]) -> None:
        self.name, self.embedded, self.version = name, embedded, version
        self.n = len(embedded)
        self._columns = Memo(24)

    @cached_property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Names and types of the columns of its metadata."""
        return self.embedded.metadata.collect_schema()

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """Columns with a value a text: the dataset's own, its number of tokens, whether it was cut."""
        return tuple(n for n, kind in self.schema.items() if n not in OURS and not kind.is_nested())

    def column(self, name: str) -> pl.Series:
        """One column of the metadata, in the order of the rows."""
        return self._columns.get(
            name, None, lambda: self.embedded.metadata.select(name).collect().to_series()
        )

    @cached_property
    def clusters(self) -> pl.DataFrame:
        """cluster, n, label, words, named: the clusters of the map, the largest first."""
        table = self.embedded.table("clusters")
        named = pl.format("{} · {}", "cluster", pl.col("label"))
        return table.with_columns(named=named).sort("n", "cluster", descending=[True, False])

    @cached_property
    def points(self) -> pl.DataFrame:
        """row, x, y, cluster, one row a statement; x and y are null for a vector of norm zero. Raises
        ArtifactMissingError where there is no map."""
        table = self.embedded.table("map")
        if table.height != self.n:
            raise ArtifactMissingError(
                f"the map of {self.name} is of {table.height:,} texts, its embeddings of {self.n:,}; run: "
                f"python -m precompute.embeddings map --dataset-size {self.name.size}"
            )
        return table

    @cached_property
    def places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y, float32 [n]; NaN for a statement that has no place."""
        x, y = (self.points[axis].cast(pl.Float32).fill_null(np.nan).to_numpy() for axis in ("x", "y"))
        return x, y

    @cached_property
    def graph(self) -> Graph:
        """The nearest of each distinct text."""
        return read_graph(self.embedded.shelf.current(GRAPH))

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """[n]: the row of the first statement with the same text."""
        own = pl.Series("row", np.arange(self.n, dtype=np.int64))
        return self.column("duplicate_of").cast(pl.Int64).fill_null(own).to_numpy()


class EmbeddedSets(NamedSets):
    """The same, opened and judged once for all who look."""

    def __init__(self, data_dir: Path, config: Path | None = None) -> None:
        super().__init__(data_dir, config)
        self._opened = Memo(8)
        self._states: dict[SetName, tuple[float, tuple[str, ...], tuple[StepStatus, ...]]] = {}
        self._lock = threading.Lock()

    def name(self, parameters: Mapping[str, object]) -> SetName:
        """The set that an address names; without one, the first model's and its largest set that is there.
        Raises AddressError."""
        given = parameters.get("model")
        names = tuple(self.models)
        if given is not None and given not in names:
            known = ", ".join(names)
            raise AddressError(
                f"embedding model {shortened(given)}", f"one of {known}", "choose a model on the page"
            )
        model = str(given) if given is not None else names[0]
        there = self.sizes_there(model)
        standard = there[-1] if there else "toy"
        size = parameters.get("size")
        return SetName(model, standard if size is None else one_of(size, tuple(SIZES), "size"))

    def open(self, name: SetName) -> OpenedSet:
        """The published set. Raises ArtifactMissingError, or CorruptArtifactError for damage to be seen."""
        version = self.version(name)

        def opened() -> OpenedSet:
            embedded = self.embedding_set(name)
            embedded.manifest()
            return OpenedSet(name, embedded, version)

        return self._opened.get(name, version, opened)

    def version(self, name: SetName) -> tuple[str, ...]:
        """Names what is published of a set; another one as soon as a part is replaced."""
        embedded = self.embedding_set(name)
        return (str(embedded.directory), *(_version_of(embedded, step) for step in STEPS))

    def statuses(self, name: SetName) -> tuple[StepStatus, ...]:
        """At most some seconds old. The first look may take long, so no page should wait for this."""
        version = self.version(name)
        with self._lock:
            known = self._states.get(name)
            if known is None or known[1] != version or time.monotonic() - known[0] > SECONDS_TRUSTED:
                known = self._states[name] = (time.monotonic(), version, super().statuses(name))
        return known[2]


def _version_of(embedded: EmbeddingSet, step: str) -> str:
    try:
        return embedded.shelf.version_name(step)
    except OSError:
        return ""

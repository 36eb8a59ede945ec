"""Tables of features, cut into the rows of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import ArtifactMissingError, NotApplicableError
from precompute.reading import Artifacts


@dataclass(frozen=True)
class ByFeature:
    """A table sorted by feature, and where the rows of each lie."""

    table: pl.DataFrame
    indptr: NDArray[np.int64]
    """int64 [d_sae + 1]."""

    @staticmethod
    def of(table: pl.DataFrame, d_sae: int) -> ByFeature:
        """The rows of each feature keep their order."""
        ordered = table.sort("feature", maintain_order=True)
        return ByFeature(ordered, np.searchsorted(ordered["feature"].to_numpy(), np.arange(d_sae + 1)))

    def rows(self, feature: int) -> pl.DataFrame:
        """The rows of a feature; none where the table has none."""
        first, stop = self.indptr[feature : feature + 2].tolist()
        return self.table[first:stop]

    def row(self, feature: int) -> dict[str, Any] | None:
        """The only row of a feature; None where there is none."""
        rows = self.rows(feature)
        return rows.row(0, named=True) if rows.height else None


class FeatureTables:
    """The tables of one subject that say something of features; one that is not computed is empty."""

    def __init__(self, artifacts: Artifacts, d_sae: int) -> None:
        self._artifacts, self._d_sae = artifacts, d_sae
        self._known: dict[str, ByFeature] = {}

    def of(self, name: str) -> ByFeature:
        """A table by its file name without `.parquet`."""
        if name not in self._known:
            try:
                table = self._artifacts.table(name)
            except (ArtifactMissingError, NotApplicableError):
                table = pl.DataFrame(schema={"feature": pl.UInt32})
            self._known[name] = ByFeature.of(table, self._d_sae)
        return self._known[name]

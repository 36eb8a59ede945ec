"""Tables of the artifacts, kept in memory by fingerprint, with one feature's rows found at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.memo import Memo
from precompute.errors import (
    ArtifactMissingError,
    CorruptArtifactError,
    LightwellError,
    StoreError,
)
from precompute.reading import Artifacts

Answer = TypeVar("Answer")


class Tables:
    """What is read from the artifacts of one model type. Raises ArtifactMissingError where there is
    nothing, and CorruptArtifactError where it cannot be understood."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self.memo = Memo()

    def fingerprint(self, step: str) -> str | None:
        """The version of a step's artifact; None where there is none."""
        try:
            return self.artifacts.fingerprint(step)
        except LightwellError:
            return None

    def derived(self, question: str, step: str, compute: Callable[[], Answer]) -> Answer:
        """An answer that holds as long as one step's artifact is the same."""
        return self.memo.get(question, self.fingerprint(step), lambda: self.reading(step, compute))

    def last_asked(self, question: str, step: str, key: Hashable, compute: Callable[[], Answer]) -> Answer:
        """Like `derived`, for one `key` such as a feature; only the answer for the last one is kept."""
        version = (self.fingerprint(step), key)
        return self.memo.get(question, version, lambda: self.reading(step, compute))

    def table(self, name: str, step: str) -> pl.DataFrame:
        """A whole table, sorted by feature and rank where it has them."""
        return self.derived(f"table {name}", step, lambda: _by_feature(self.artifacts.table(name)))

    def rows_of(self, name: str, step: str, feature: int) -> pl.DataFrame:
        """One feature's rows of a table; empty where the table has none for it."""
        table = self.table(name, step)
        starts = self.derived(f"starts {name}", step, lambda: _starts(table))
        if feature + 1 >= len(starts):
            return table.clear()
        return table[int(starts[feature]) : int(starts[feature + 1])]

    def some_rows_of(self, name: str, step: str, feature: int) -> pl.DataFrame:
        """Like `rows_of`, but raises ArtifactMissingError where the table has none."""
        rows = self.rows_of(name, step, feature)
        if rows.is_empty():
            chosen = self.artifacts.model_type.name
            raise ArtifactMissingError(
                f"{step} holds nothing for feature {feature}; "
                f"run: python -m precompute.unified --model-type {chosen} --only {step}"
            )
        return rows

    def reading(self, step: str, read: Callable[[], Answer]) -> Answer:
        """Read an artifact; bytes that cannot be understood become CorruptArtifactError."""
        with _readable(step, self.artifacts.model_type.name):
            return read()


def optional(read: Callable[[], Answer]) -> Answer | None:
    """What is read, or None where that is absent, damaged or not applicable; its own panel says so."""
    try:
        return read()
    except LightwellError:
        return None


@contextmanager
def _readable(step: str, model_type: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise _corrupt(step, model_type, error) from error
    except LightwellError:
        raise
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        raise _corrupt(step, model_type, error) from error


def _corrupt(step: str, model_type: str, error: Exception) -> CorruptArtifactError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    command = f"python -m precompute.unified --model-type {model_type} --verify"
    return CorruptArtifactError(f"{step} cannot be read ({reason}); run: {command}")


def _by_feature(table: pl.DataFrame) -> pl.DataFrame:
    """A table in the order that looking up one feature needs: by feature, and by rank where it has ranks."""
    keys = [name for name in ("feature", "rank") if name in table.columns]
    return table.sort(keys, maintain_order=True) if "feature" in keys else table


def _starts(table: pl.DataFrame) -> NDArray[np.int64]:
    """int64 [last feature + 2]: where each feature's rows begin in a table sorted by feature."""
    features = table["feature"].to_numpy()
    last = int(features.max()) if len(features) else -1
    return np.searchsorted(features, np.arange(last + 2))

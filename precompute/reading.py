"""Reading artifacts: the one API of notebooks and of the dashboard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.config import ImportedType, KnownType
from precompute.errors import ArtifactMissingError, CorruptArtifactError, NotApplicableError
from precompute.labels.database import Database
from precompute.labels.sets import SetStore
from precompute.labels.store import LabelStore
from precompute.npy import open_npy
from precompute.pipeline.origin import origin_of
from precompute.pipeline.plan import Plan, StepStatus
from precompute.pipeline.registry import owner_of, steps
from precompute.pipeline.subjects import Subject, as_chosen_now, open_subject
from precompute.stores.feature_store import FeatureActivations, FeatureStore
from precompute.stores.row_store import RowStore


@dataclass(frozen=True)
class Example:
    """One example: its tokens, and one feature's activations on them."""

    example: int
    text_id: str
    chunk: int
    """Which window of its text it is, from 0."""
    token_ids: NDArray[np.int32]
    """[n_tokens], special tokens included."""
    str_tokens: tuple[str, ...]
    """[n_tokens], decoded exactly."""
    acts: NDArray[np.float32] | None
    """[n_tokens], NaN where the position is no row; None where no feature was asked for."""
    metadata: dict[str, Any]
    """The text's metadata columns."""


class Artifacts:
    """What is computed for one model type. Each question looks at what is published now."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._stores: dict[Path, Any] = {}
        self._tables: dict[Path, pl.DataFrame] = {}

    @property
    def model_type(self) -> KnownType:
        """Its configuration."""
        return self.subject.model_type

    @property
    def directory(self) -> Path:
        """Where its artifacts lie."""
        return self.subject.directory

    def status(self) -> tuple[StepStatus, ...]:
        """The state of every step: fresh, stale, missing, running, corrupt or not applicable."""
        return Plan(as_chosen_now(self.subject)).statuses()

    def status_of(self, step: str) -> StepStatus:
        """The state of one step."""
        return Plan(as_chosen_now(self.subject)).status(step)

    def fingerprint(self, step: str) -> str:
        """The name of a step's current version; it changes whenever the artifact is replaced.

        Raises ArtifactMissingError where there is none.
        """
        try:
            return self.subject.shelf.version_name(step)
        except FileNotFoundError:
            raise self._missing(step) from None

    def path(self, output: str) -> Path:
        """Where an output lies, such as `feature_stats.parquet` or `activations`.

        Raises ArtifactMissingError, whose message names the command that computes it, and NotApplicableError
        where the step has no meaning for this model type.
        """
        step = _owner(output)
        path = self._version(step) / output
        if not path.exists():
            manifest = self.subject.shelf.manifest(step)
            if manifest is not None and manifest.not_applicable:
                name = self.model_type.name
                raise NotApplicableError(f"{step} has no meaning for {name}: {manifest.not_applicable}")
            raise self._missing(step)
        return path

    def table(self, name: str) -> pl.DataFrame:
        """A whole table, by its file name without `.parquet`; kept in memory until it is replaced."""
        path = self.path(f"{name}.parquet")
        if path not in self._tables:
            stale = [other for other in self._tables if other.name == path.name]
            for other in stale:
                del self._tables[other]
            self._tables[path] = pl.read_parquet(path)
        return self._tables[path]

    def scan(self, name: str) -> pl.LazyFrame:
        """A table read lazily: only the rows and columns that are asked for."""
        return pl.scan_parquet(self.path(f"{name}.parquet"))

    def record(self, name: str) -> dict[str, Any]:
        """A JSON record, by its file name without `.json`."""
        record: dict[str, Any] = json.loads(self.path(f"{name}.json").read_text(encoding="utf-8"))
        return record

    def array(self, name: str) -> NDArray[Any]:
        """An array, by its file name without `.npy`, memory-mapped and read-only."""
        mapped: NDArray[Any] = open_npy(self.path(f"{name}.npy"))
        return mapped

    def row_store(self) -> RowStore:
        """The row-major activations."""
        path = self.path("activations")
        if path not in self._stores:
            self._stores[path] = RowStore(path)
        store: RowStore = self._stores[path]
        return store

    def feature_store(self) -> FeatureStore:
        """The feature-major activations."""
        path = self.path("feature_major")
        if path not in self._stores:
            self._stores[path] = FeatureStore(path)
        store: FeatureStore = self._stores[path]
        return store

    def feature(self, feature: int) -> FeatureActivations:
        """Rows and activations of one feature; raises StoreError for one that does not exist."""
        return self.feature_store().feature(feature)

    def example(self, example: int, feature: int | None = None) -> Example:
        """One example, with one feature's activations on its tokens if a feature is named."""
        store = self.row_store()
        token_ids = store.example_tokens(example)
        window = self.table("windows").row(example, named=True)
        tokens = self.table("vocabulary")["token"]
        return Example(
            example=example,
            text_id=window["text_id"],
            chunk=window["chunk"],
            token_ids=token_ids,
            str_tokens=tuple(tokens[token_ids].to_list()),
            acts=None if feature is None else store.example_feature_acts(example, feature),
            metadata=self._metadata(window["text_index"]),
        )

    def sae_digest(self) -> str:
        """What the SAE's features are known by, whatever the model type is called: its files' content.

        It is that of the SAE that the activations were computed with, or else of the configured one. Where
        activations were imported and no SAE is named, it is the store's.
        """
        recorded = self._recorded("activations", "sae")
        if isinstance(self.model_type, ImportedType):
            step, source = ("directions", "sae") if self.model_type.sae else ("activations", "store")
            recorded = self._recorded(step, source)
        return recorded or origin_of(self.model_type).sources(self.subject.data_dir).sae_digest

    def _recorded(self, step: str, source: str) -> str | None:
        """The digest of a source that a step's artifact was computed from; None where that is not known."""
        try:
            manifest = self.subject.shelf.manifest(step)
        except CorruptArtifactError:
            return None
        digest: str | None = dict(manifest.sources.get(source, {})).get("digest") if manifest else None
        return digest

    def labels(self) -> LabelStore:
        """Labels and notes on the SAE's features, which all its model types share."""
        return LabelStore(Database(self.subject.data_dir), self.sae_digest())

    def feature_sets(self) -> SetStore:
        """Named lists of the SAE's features."""
        return SetStore(Database(self.subject.data_dir), self.sae_digest())

    def _metadata(self, text_index: int) -> dict[str, Any]:
        corpus = self.table("corpus")
        place = corpus["text_index"].search_sorted(text_index)
        ours = ("text_index", "text_id", "text", "n_tokens", "duplicate_of")
        row = corpus.row(place, named=True)
        return {name: value for name, value in row.items() if name not in ours}

    def _version(self, step: str) -> Path:
        try:
            return self.subject.shelf.current(step)
        except FileNotFoundError:
            raise self._missing(step) from None

    def _missing(self, step: str) -> ArtifactMissingError:
        name = self.model_type.name
        return ArtifactMissingError(
            f"{step} is not computed for {name}; "
            f"run: python -m precompute.unified --model-type {name} --only {step}"
        )


def _owner(output: str) -> str:
    try:
        return owner_of(output)
    except StopIteration:
        known = ", ".join(name for step in steps().values() for name in step.outputs)
        raise ArtifactMissingError(f"no step publishes {output}; there are {known}") from None


def open_artifacts(
    model_type: str,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    features: tuple[int, int] | None = None,
) -> Artifacts:
    """Open what is computed for a model type; nothing is read before it is asked for."""
    return Artifacts(open_subject(model_type, data_dir, config, features))

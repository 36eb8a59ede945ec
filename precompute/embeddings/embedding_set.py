"""One embedded dataset on disk: where it lies, how it was asked for, and how it is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.artifacts.manifest import Manifest
from precompute.artifacts.shelf import Shelf
from precompute.corpus.subsets import SIZES
from precompute.embeddings.datasets import Dataset, n_of
from precompute.embeddings.encoder import DEFAULT_MAX_LENGTH, Dtype, EncoderOptions
from precompute.embeddings.model_directory import DEFAULT_MODEL, EmbedderFiles, Pooling, find_files
from precompute.errors import ArtifactMissingError, ConfigError, CorruptArtifactError, UsageError
from precompute.npy import open_npy
from precompute.pipeline.subjects import data_directory

if TYPE_CHECKING:
    from precompute.embeddings.encoder import TextEncoder

STEP = "embeddings"
VECTORS, METADATA, INFO, MANIFEST = "embeddings.npy", "metadata.parquet", "info.json", "manifest.json"
OUTPUTS = (VECTORS, METADATA, INFO, MANIFEST)
SETTINGS_FILE = "settings.json"
"""In a set's directory: how it was asked for, so that later commands and the dashboard judge by it."""
ROOT = "embeddings"
FEW_ROWS = 256
"""Rows whose metadata are read one by one; more are read together."""
NEAR_ROWS = 16_384
"""Rows that lie no further apart are read with all that is between them, which takes some milliseconds."""
VectorDtype = Literal["float32", "float16"]


class SetSettings(BaseModel):
    """What determines an embedding set, besides its model and its size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str | None = None
    """Absolute path of the dataset; None is the documentation on this machine."""
    text_column: str = "text"
    """The field that holds the text."""
    pooling: Pooling | None = None
    """How token states become one vector; None is the model's own, or else mean."""
    normalize: bool = True
    """Whether vectors have length 1."""
    max_length: int = DEFAULT_MAX_LENGTH
    """Tokens of a text at most."""
    dtype: Dtype = "auto"
    """Type in which the model runs."""
    vectors_dtype: VectorDtype = "float32"
    """Type in which vectors are kept."""
    revision: str | None = None
    """Revision of a model from the hub."""
    allow_legacy_weights: bool = False
    """Whether pickled weights may be read, tensors alone."""
    imported: bool = False
    """Whether the vectors were converted from another format rather than computed here."""

    @property
    def options(self) -> EncoderOptions:
        """What the encoder is told."""
        return EncoderOptions(self.pooling, self.normalize, self.max_length, self.dtype)

    def load_encoder(self, model: str, device: str = "auto") -> TextEncoder:
        """The encoder that the set is asked of; raises ModelError for a part that cannot be used."""
        from precompute.embeddings.loading import load_encoder

        return load_encoder(self.files(model), self.options, device)

    def files(self, model: str) -> EmbedderFiles:
        """The parts of the model that the set is asked of."""
        return find_files(model, self.revision, self.allow_legacy_weights)


class EmbeddingSet:
    """The vectors and texts of one size of a dataset; arrays are mapped, so opening reads next to nothing."""

    def __init__(self, model: str, size: str, data_dir: Path | str | None = None) -> None:
        n_of(size)
        self.model, self.size, self.data_dir = model, size, data_directory(data_dir)
        self.given_data_dir = data_dir
        self.root = embeddings_root(model, None if data_dir is None else self.data_dir)
        self.directory = self.root / size

    @property
    def shelf(self) -> Shelf:
        """Its published artifacts: embeddings, neighbors, map."""
        return Shelf(self.directory)

    @property
    def settings(self) -> SetSettings:
        """How it was last asked for."""
        path = self.directory / SETTINGS_FILE
        try:
            return SetSettings.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return SetSettings()
        except (ValidationError, UnicodeDecodeError):
            raise ConfigError(f"{path} that cannot be read", "settings of a set", "remove it") from None

    def keep_settings(self, settings: SetSettings) -> None:
        """Note how the set is asked for."""
        self.directory.mkdir(parents=True, exist_ok=True)
        staged = self.directory / f".tmp-{os.getpid()}-{SETTINGS_FILE}"
        staged.write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")
        staged.replace(self.directory / SETTINGS_FILE)

    def dataset(self, settings: SetSettings | None = None) -> Dataset:
        """The texts that it is made of."""
        settings = settings or self.settings
        path = Path(settings.dataset) if settings.dataset else None
        return Dataset(path, settings.text_column, self.data_dir)

    def manifest(self) -> Manifest:
        """What was computed; raises ArtifactMissingError, or CorruptArtifactError for damage to be seen."""
        manifest = self.shelf.manifest(STEP)
        if manifest is None:
            raise ArtifactMissingError(
                f"no embeddings of size {self.size} in {self.root}; "
                f"run: python -m precompute.embeddings {self.chosen_by}"
            )
        damage = self.shelf.damage(STEP)
        if damage:
            raise CorruptArtifactError(f"{self.directory}: {'; '.join(damage[:3])}; run the command again")
        return manifest

    @property
    def chosen_by(self) -> str:
        """The options that name the set on a command line."""
        place = "" if self.given_data_dir is None else f" --data-dir {self.given_data_dir}"
        return f"--model-dir {self.model} --dataset-size {self.size}{place}"

    @cached_property
    def version(self) -> Path:
        """The directory of what is published now; the set keeps reading this one."""
        self.manifest()
        return self.shelf.current(STEP)

    @cached_property
    def vectors(self) -> NDArray[Any]:
        """[n, d] float32 or float16, memory-mapped and read-only, in the order of the dataset."""
        mapped: NDArray[Any] = open_npy(self.version / VECTORS)
        return mapped

    @property
    def metadata(self) -> pl.LazyFrame:
        """row, text_id, text, duplicate_of, n_tokens, is_cut, and the dataset's own columns."""
        return pl.scan_parquet(self.version / METADATA)

    @cached_property
    def info(self) -> dict[str, Any]:
        """The record of the set: n, d, dtype, model, options, counts."""
        record: dict[str, Any] = json.loads((self.version / INFO).read_text(encoding="utf-8"))
        return record

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def d(self) -> int:
        """Width of the vectors."""
        return int(self.vectors.shape[1])

    def rows(self, rows: Sequence[int]) -> pl.DataFrame:
        """The metadata of some rows, in the order asked for; few of them read only where they lie."""
        outside = [row for row in rows if not 0 <= row < len(self)]
        if outside:
            raise UsageError(f"row {outside[0]}", f"0 to {len(self) - 1}", "ask for a row of the set")
        if rows and max(rows) - min(rows) < NEAR_ROWS:
            first = min(rows)
            span = self.metadata.slice(first, max(rows) - first + 1).collect()
            return span[[row - first for row in rows]]
        if len(rows) <= FEW_ROWS:
            parts = [self.metadata.slice(row, 1) for row in rows]
            return pl.concat(pl.collect_all(parts)) if parts else self.metadata.head(0).collect()
        return self.metadata.collect()[list(rows)]

    def table(self, name: str) -> pl.DataFrame:
        """A table of the map: map, clusters. Raises ArtifactMissingError naming the command."""
        try:
            return pl.read_parquet(self.shelf.current("map") / f"{name}.parquet")
        except FileNotFoundError:
            command = f"python -m precompute.embeddings map {self.chosen_by}"
            raise ArtifactMissingError(f"no map of {self.directory}; run: {command}") from None


def embeddings_root(model: str, data_dir: Path | None = None) -> Path:
    """Where a model's embeddings lie: beside it, or below the data directory.

    The latter where one is named, and for a model that is not a directory of the user's own: a hub id, the
    embedded demo, or a place that cannot be written.
    """
    directory = Path(model).expanduser()
    own = directory.is_dir() and DEFAULT_MODEL.parent not in (
        directory.resolve(),
        *directory.resolve().parents,
    )
    if data_dir is None and own and os.access(directory, os.W_OK):
        return directory / ROOT
    name = directory.resolve().name if directory.is_dir() else model.strip("/").replace("/", "--")
    return data_directory(data_dir) / ROOT / name


def sizes_there(model: str, data_dir: Path | str | None = None) -> list[str]:
    """The sizes that a model has sets of, the smallest first."""
    return [size for size in SIZES if EmbeddingSet(model, size, data_dir).shelf.pointer(STEP).is_symlink()]

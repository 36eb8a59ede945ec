"""An existing demo folder of pickles, converted once: weights to safetensors, embeddings to a set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.artifacts.locks import ArtifactLock
from precompute.corpus.subsets import SIZES
from precompute.embeddings.datasets import Dataset
from precompute.embeddings.embedding_set import STEP, VECTORS, EmbeddingSet, SetSettings
from precompute.embeddings.freshness import STEPS, Freshness
from precompute.embeddings.loading import converted_adapter, read_projection
from precompute.embeddings.model_directory import (
    ADAPTER_DIRECTORY,
    LEGACY_PROJECTION_FILE,
    PROJECTION_FILE,
)
from precompute.embeddings.publishing import described, metadata_of, publish
from precompute.errors import ModelError
from precompute.models import adapter as lora
from precompute.models.legacy import read_legacy, refuse

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDINGS_FILE = "embeddings.pt"
METADATA_FILE = "metadata.json"
DATASET_FILE = "texts.jsonl"
"""The rows of metadata.json, one a line, in the directory of the set: the dataset of what was imported."""
PICKLES = (LEGACY_PROJECTION_FILE, lora.PICKLE, EMBEDDINGS_FILE)
UNIT = 1e-2
"""Greatest distance of a vector's length from 1 for imported vectors to count as normalised."""


def convert(directory: Path, allow_legacy_weights: bool) -> list[str]:
    """Convert weights and embeddings in place, the pickles untouched; returns what was written, in words.

    Raises ModelError for pickles without the permission to read them, for rows and metadata that do not
    agree, and where there is nothing to convert.
    """
    if not directory.is_dir():
        raise ModelError(f"no directory {directory}", "a model directory", "correct the path")
    pickles = [path for path in sorted(directory.rglob("*")) if path.name in PICKLES and path.is_file()]
    if not pickles:
        raise ModelError(f"no {', '.join(PICKLES)} below {directory}", "one of them", "correct the path")
    if not allow_legacy_weights:
        raise refuse(pickles[0], "safetensors and npy")
    tables = [_read_set(path) for path in pickles if path.name == EMBEDDINGS_FILE]
    written = [line for path in pickles for line in _convert_weights(directory, path)]
    _check_widths(directory, [vectors for vectors, _ in tables])
    return written + [_convert_set(directory, vectors, rows) for vectors, rows in tables]


def _convert_weights(directory: Path, path: Path) -> Iterator[str]:
    from safetensors.torch import save_file

    if path.name == LEGACY_PROJECTION_FILE and path.parent == directory:
        tensors = {name: tensor.contiguous() for name, tensor in read_projection(path).items()}
        save_file(tensors, directory / PROJECTION_FILE)
        yield f"{path.name} -> {PROJECTION_FILE}"
    if path.name == lora.PICKLE:
        target = directory / ADAPTER_DIRECTORY
        if not (path.parent / lora.CONFIG_FILE).is_file():
            raise ModelError(
                f"no {lora.CONFIG_FILE} beside {path}", "the adapter's configuration", "copy it there"
            )
        converted_adapter(path.parent, target)
        yield f"{path.relative_to(directory)} -> {ADAPTER_DIRECTORY}/{lora.WEIGHTS_FILE}"


def _check_widths(directory: Path, matrices: list[NDArray[np.float32]]) -> None:
    """Refuse embeddings of another width than the projection's."""
    path = directory / PROJECTION_FILE
    if not path.is_file():
        return
    d = read_projection(path)["weight"].shape[0]
    for vectors in matrices:
        if vectors.shape[1] != d:
            raise ModelError(
                f"{EMBEDDINGS_FILE} of width {vectors.shape[1]}", f"{d}, the projection's", "check the folder"
            )


def _read_set(path: Path) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Vectors and metadata rows that agree."""
    vectors, rows = _vectors(path), _rows(path.with_name(METADATA_FILE))
    if len(vectors) != len(rows):
        raise ModelError(
            f"{path} with {len(vectors)} rows beside {METADATA_FILE} with {len(rows)}",
            "as many of each",
            "check the folder: nothing was converted",
        )
    return vectors, rows


def _vectors(path: Path) -> NDArray[np.float32]:
    import torch

    found = read_legacy(path)
    if isinstance(found, dict):
        matrices = [value for value in found.values() if isinstance(value, torch.Tensor) and value.ndim == 2]
        found = matrices[0] if len(matrices) == 1 else None
    if isinstance(found, list) and found and all(isinstance(each, torch.Tensor) for each in found):
        found = torch.stack(found)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or not len(found):
        raise ModelError(f"{path} that holds no matrix", "one tensor [n, d]", "check the folder")
    return _finite(found, path)


def _finite(found: Tensor, path: Path) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = found.detach().float().numpy()
    if not np.isfinite(vectors).all():
        raise ModelError(f"{path} with values that are not finite", "finite vectors", "check the folder")
    return vectors


def _rows(path: Path) -> list[dict[str, Any]]:
    """The metadata: a list of objects or texts, such a list under one key, or columns of equal length."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} that cannot be read ({error})", "JSON", "copy it there") from None
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list)]
        if len(lists) == len(found) and len({len(value) for value in lists}) == 1 and len(lists) > 1:
            found = [dict(zip(found, row, strict=True)) for row in zip(*lists, strict=True)]
        else:
            found = next((value for value in lists if all(isinstance(row, dict) for row in value)), None)
    if isinstance(found, list):
        found = [{"text": row} if isinstance(row, str) else row for row in found]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ModelError(f"{path} that is no list of rows", "a list of JSON objects", "check the folder")
    return found


def _text_key(rows: list[dict[str, Any]]) -> str:
    """The field that holds the text: `text`, or else the one string field with most characters."""
    if all(isinstance(row.get("text"), str) for row in rows):
        return "text"
    strings = [key for key in rows[0] if all(isinstance(row.get(key), str) for row in rows)]
    if not strings:
        raise ModelError(f"{METADATA_FILE} without texts", "a field `text` in each row", "check the folder")
    return max(strings, key=lambda key: sum(len(row[key]) for row in rows))


def _size_of(n: int) -> str:
    """The size of so many texts: of that very number, or else full."""
    return next((size for size, limit in SIZES.items() if limit == n), "full")


def _convert_set(directory: Path, vectors: NDArray[np.float32], rows: list[dict[str, Any]]) -> str:
    embedded = EmbeddingSet(str(directory), _size_of(len(rows)))
    dataset = embedded.directory / DATASET_FILE
    dataset.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    dataset.write_text("".join(lines), encoding="utf-8")
    norms = np.linalg.norm(vectors, axis=1)
    settings = SetSettings(
        dataset=str(dataset.absolute()),
        text_column=_text_key(rows),
        normalize=bool((np.abs(norms - 1) < UNIT).all()),
        imported=True,
    )
    with ArtifactLock(embedded.directory, STEP):
        embedded.keep_settings(settings)
        table = Dataset(dataset, settings.text_column).read("full")
        _publish(embedded, settings, table, vectors)
    embedded.shelf.collect_garbage(STEPS)
    return f"{EMBEDDINGS_FILE}, {METADATA_FILE} -> {embedded.directory / VECTORS}, {len(rows)} rows"


def _publish(
    embedded: EmbeddingSet, settings: SetSettings, table: pl.DataFrame, vectors: NDArray[np.float32]
) -> None:
    fresh = Freshness(embedded, settings)
    staging = embedded.shelf.stage(STEP, fresh.expected, resumable=False)
    np.save(staging / VECTORS, vectors, allow_pickle=False)
    absent = [None] * table.height
    metadata = metadata_of(table, absent, absent)
    n_distinct = metadata["duplicate_of"].null_count()
    info = {**described(fresh, *vectors.shape), "n_distinct": n_distinct, "n_cut": None}
    publish(fresh, staging, metadata, info)

"""Hugging Face datasets, from disk or by hub id, streamed into one Parquet file that later runs read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.artifacts.locks import ArtifactLock
from precompute.durable import sync
from precompute.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow as pa

    from precompute.config import CorpusConfig

EXTRA = "datasets"
TEXTS_PER_BATCH = 1000
SAVED = ("dataset_info.json", "dataset_dict.json")
"""One of these marks a directory that `save_to_disk` wrote."""


def take_dataset(corpus: CorpusConfig, target: Path, refresh: bool = False) -> Path:
    """Stream a dataset into the file `target`, unless it is there; memory is bounded by a batch.

    Raises CorpusError where the package is missing, or the dataset cannot be had or holds no rows.
    """
    with ArtifactLock(target.parent, "snapshot"):
        if refresh or not target.is_file():
            staging = target.with_name(f".tmp-{target.name}")
            try:
                _write(_batches(corpus), corpus, staging)
                staging.replace(target)
            finally:
                staging.unlink(missing_ok=True)
    return target


def check_package() -> None:
    """Raise CorpusError where the package `datasets` is missing, with what to install."""
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise CorpusError(
            "no package datasets, which reads Hugging Face datasets",
            "it beside this project",
            f"pip install -e '.[{EXTRA}]'",
        ) from None


def _batches(corpus: CorpusConfig) -> Iterator[pa.Table]:
    """The plain columns of the dataset's rows in their order, `max_texts` of them at most."""
    dataset = _opened(corpus).with_format("arrow")
    left = corpus.max_texts
    for table in dataset.iter(batch_size=TEXTS_PER_BATCH):
        kept = table if left is None else table.slice(0, left)
        yield _plain(kept)
        if left is not None:
            left -= kept.num_rows
            if left == 0:
                return


def _opened(corpus: CorpusConfig) -> Any:
    check_package()
    import datasets

    source = str(corpus.dataset)
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if any((Path(source) / name).is_file() for name in SAVED):
                return _split(datasets.load_from_disk(source), corpus)
            return datasets.load_dataset(
                source,
                corpus.dataset_name,
                split=corpus.dataset_split,
                revision=corpus.dataset_revision,
                streaming=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise _not_had(corpus, error) from None


def _split(loaded: Any, corpus: CorpusConfig) -> Any:
    if not isinstance(loaded, dict):
        return loaded
    if corpus.dataset_split not in loaded:
        raise CorpusError(
            f"dataset {corpus.dataset} without a split {corpus.dataset_split!r}",
            f"one of {', '.join(loaded)}",
            "set dataset_split",
        )
    return loaded[corpus.dataset_split]


def _plain(table: pa.Table) -> pa.Table:
    """Texts, numbers, dates, and lists of such; pictures, sounds and records are left out."""
    import pyarrow as pa

    def is_plain(kind: pa.DataType) -> bool:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return is_plain(kind.value_type)
        return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    return table.select([field.name for field in table.schema if is_plain(field.type)])


def _write(batches: Iterator[pa.Table], corpus: CorpusConfig, target: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    writer: parquet.ParquetWriter | None = None
    try:
        for batch in batches:
            if writer is None:
                writer = parquet.ParquetWriter(target, batch.schema.remove_metadata(), compression="zstd")
            writer.write_table(batch.replace_schema_metadata(None).cast(writer.schema))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, pa.ArrowException) as error:
        raise _not_had(corpus, error) from None
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise CorpusError(f"dataset {corpus.dataset} that holds no rows", "at least one", "choose another")
    sync(target)


def _not_had(corpus: CorpusConfig, error: Exception) -> CorpusError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CorpusError(
        f"dataset {corpus.dataset} that cannot be had ({reason})",
        "a directory that save_to_disk wrote, or a hub id that can be reached",
        "check dataset, dataset_name, dataset_split and the network",
    )

"""Datasets to embed: a table of texts with their metadata in file order, and its named sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import xxhash

from precompute.artifacts.digests import DigestCache
from precompute.corpus.readers import READERS, json_lines, with_ids
from precompute.corpus.snapshot import snapshot_file, take_snapshot
from precompute.corpus.subsets import SIZES, seeded_order
from precompute.embeddings.statements import STATEMENT_LISTS, flattened
from precompute.errors import CorpusError

OUR_COLUMNS = ("row", "text_id", "text", "duplicate_of", "n_tokens", "is_cut")
"""Columns of metadata.parquet that Lightwell adds; one of a dataset's own gets a leading underscore."""
DIGEST_ROWS = 50_000
"""Rows that are written as JSON at once for a digest."""


@dataclass(frozen=True)
class Dataset:
    """Where texts come from."""

    path: Path | None = None
    """A jsonl, json, csv, parquet or txt file; None is the documentation on this machine."""
    text_column: str = "text"
    """The field that holds the text."""
    data_dir: Path = Path("data")
    """The data directory, where the snapshot of the built-in corpus lies."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path.stem if self.path else "documentation"

    @property
    def file(self) -> Path:
        """The file that is read."""
        return self.path or snapshot_file(self.data_dir)

    def read(self, size: str = "full") -> pl.DataFrame:
        """text_id, text, then the metadata; the first texts of the dataset, as many as the size says.

        Sizes nest, since each is a beginning of the next. The built-in corpus comes in a seeded order, so
        that each of its sizes is a sample of all packages. Raises CorpusError for what cannot be read.
        """
        limit = n_of(size)
        table = with_ids(_read(self), self.file, self.text_column, OUR_COLUMNS, STATEMENT_LISTS)
        if self.path is None:
            table = table[seeded_order(table["text_id"], 0)]
        return table if limit is None else table.head(limit)

    def digest(self, size: str, cache: DigestCache) -> str:
        """Content digest of the rows of a size: other rows of the file may change without it."""
        self.check()
        self.ensure()
        key = (
            f"rows|{cache.digest(self.file)}|{self.file.suffix}|{self.path is None}|{self.text_column}|{size}"
        )
        return cache.remembered(key, lambda: rows_digest(self.read(size)))

    def check(self) -> None:
        """Raise CorpusError for a file that is absent, or of a format that is not known."""
        if self.path is not None and not self.path.is_file():
            raise _absent(self.path)
        if self.file.suffix not in FORMATS:
            known = ", ".join(FORMATS)
            raise CorpusError(f"dataset {self.file.name}", f"an ending of {known}", "convert the file")

    def ensure(self, workers: int = 1) -> None:
        """Take the snapshot of the built-in corpus where it is wanted and not there."""
        if self.path is None:
            take_snapshot(self.data_dir, workers)


def n_of(size: str) -> int | None:
    """The number of texts of a named size, None for all; raises CorpusError for another name."""
    if size not in SIZES:
        raise CorpusError(f"dataset size {size!r}", f"one of {', '.join(SIZES)}", "correct --dataset-size")
    return SIZES[size]


def rows_digest(table: pl.DataFrame) -> str:
    """XXH3-128 of texts and metadata, in hexadecimal."""
    digest = xxhash.xxh3_128(json.dumps(table.columns).encode())
    for part in table.iter_slices(DIGEST_ROWS):
        digest.update(part.write_ndjson().encode())
    return digest.hexdigest()


def _read(dataset: Dataset) -> pl.DataFrame:
    path = dataset.file
    dataset.check()
    dataset.ensure()
    try:
        return FORMATS[path.suffix](path, dataset.text_column)
    except (pl.exceptions.PolarsError, UnicodeError, ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:150]
        raise CorpusError(
            f"{path} that cannot be read ({reason})", f"a {path.suffix} file", "correct the file"
        ) from None


def _absent(path: Path) -> CorpusError:
    return CorpusError(f"no dataset file {path}", "a file", "correct --dataset")


def _read_jsonl(path: Path, text_column: str) -> pl.DataFrame:
    return _table(json_lines(path), text_column, path)


def _read_json(path: Path, text_column: str) -> pl.DataFrame:
    """A list of records, or one record."""
    found = json.loads(path.read_text(encoding="utf-8"))
    records = found if isinstance(found, list) else [found]
    entries = [{text_column: record} if isinstance(record, str) else record for record in records]
    if not all(isinstance(entry, dict) for entry in entries):
        raise CorpusError(f"{path} that is no list of records", "a list of JSON objects", "correct the file")
    return _table(entries, text_column, path)


def _read_columns(path: Path, text_column: str) -> pl.DataFrame:
    """A format whose columns are read as they are; lists of statements in them are flattened."""
    table = READERS[path.suffix](path)
    lists = [name for name in STATEMENT_LISTS if isinstance(table.schema.get(name), pl.List)]
    if not lists:
        return table
    return _table(table.to_dicts(), text_column, path)


FORMATS: Mapping[str, Callable[[Path, str], pl.DataFrame]] = MappingProxyType(
    {
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".csv": _read_columns,
        ".parquet": _read_columns,
        ".txt": _read_columns,
    }
)
"""The dataset formats by the ending of the file's name."""


def _table(records: list[dict[str, Any]], text_column: str, path: Path) -> pl.DataFrame:
    rows = [_whole(record, text_column) for record in flattened(records, text_column, str(path))]
    return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()


def _whole(record: dict[str, Any], text_column: str) -> dict[str, Any]:
    """The record with the lone surrogates of its text, which no file can hold, as U+FFFD."""
    text = record.get(text_column)
    if isinstance(text, str) and not text.isascii():
        record[text_column] = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return record

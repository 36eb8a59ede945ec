"""Corpus files: a table of texts with their metadata, in the order of the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from precompute.corpus.texts import text_id
from precompute.corpus.token_lists import TOKENS, list_ids, with_token_lists
from precompute.errors import CorpusError

RESERVED = ("text_index", "text_id", "n_tokens", "duplicate_of")
"""Columns that Lightwell adds itself; a metadata column of that name is kept with a leading underscore."""


def read_jsonl(path: Path) -> pl.DataFrame:
    """One JSON object a line."""
    records = json_lines(path)
    return pl.from_dicts(records, infer_schema_length=None) if records else pl.DataFrame()


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file, one a line; blank lines are skipped, a bad one is an error with its number."""
    with path.open(encoding="utf-8") as lines:
        return [record for _, record in json_objects(path, lines)]


def json_objects(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file's lines, with their lines' numbers; raises CorpusError for a bad line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _json_object(path, number, line)


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise CorpusError(
            f"{path}, line {number}: {error}", "one JSON object a line", "correct the line"
        ) from None
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise CorpusError(f"{path}, line {number}: a JSON {kind}", "an object", "correct the line")
    return record


def read_csv(path: Path) -> pl.DataFrame:
    """A header line, then one record a line."""
    return pl.read_csv(path, infer_schema_length=None)


def read_txt(path: Path) -> pl.DataFrame:
    """One text a line, in the column `text`."""
    return pl.DataFrame({"text": path.read_text(encoding="utf-8").splitlines()}, schema={"text": pl.String})


READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = MappingProxyType(
    {
        ".jsonl": read_jsonl,
        ".csv": read_csv,
        ".parquet": pl.read_parquet,
        ".txt": read_txt,
    }
)
"""The corpus formats by the ending of the file's name."""


def read_corpus(
    path: Path, text_column: str = "text", tokens_column: str | None = None, token_sets: bool = False
) -> pl.DataFrame:
    """Read a corpus file: text_id, text, then the metadata columns; texts in file order.

    With a column of tokens they are in TOKENS, and say what the same text is. A null text becomes an empty
    one, so that no row moves. Raises CorpusError for a file that is absent, has another format, lacks a
    column that is named, or holds no text at all.
    """
    table, reserved = _read(path), (*RESERVED, "text")
    if tokens_column is None:
        return with_ids(table, path, text_column, reserved)
    if path.suffix == ".csv" and tokens_column in table.columns:
        # Where every list is of one id, the column was taken for one of numbers.
        table = table.with_columns(pl.col(tokens_column).cast(pl.String))
    listed = with_token_lists(table, tokens_column, text_column, token_sets)
    found = with_ids(listed, path, text_column, reserved)
    return found.with_columns(list_ids(found[TOKENS], token_sets))


def with_ids(
    table: pl.DataFrame, path: Path, text_column: str, reserved: Collection[str], also: Iterable[str] = ()
) -> pl.DataFrame:
    """text_id, text, then the metadata of what was read of a file; the reserved names get an underscore.

    A null text becomes an empty one, so that no row moves. Raises CorpusError for a table without the text
    column, which could have been `also` another field of the format, and for one that holds no text at all.
    """
    if table.height and text_column not in table.columns:
        raise CorpusError(
            f"{path} without a column {text_column!r}",
            f"the text in one of its columns {', '.join([*table.columns, *also])}",
            "set text_column (on a command line, --text-column)",
        )
    if table.height == 0 or not table[text_column].cast(pl.String).str.strip_chars().str.len_bytes().sum():
        raise CorpusError(f"{path} that holds no text", "at least one text", "check the file")
    texts = table[text_column].cast(pl.String).fill_null("").alias("text")
    metadata = table.drop(text_column)
    taken = {*reserved, *metadata.columns}
    metadata = metadata.rename(
        {name: free_name(name, taken) for name in metadata.columns if name in reserved}
    )
    ids = pl.Series("text_id", [text_id(text) for text in texts], dtype=pl.String)
    return pl.DataFrame([ids, texts, *metadata.get_columns()])


def free_name(name: str, taken: Collection[str]) -> str:
    """A name with underscores before it, as many as make it none of those taken."""
    while name in taken:
        name = f"_{name}"
    return name


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise CorpusError(f"no corpus file {path}", "a file", "correct the corpus' path")
    if path.suffix not in READERS:
        raise CorpusError(
            f"corpus file {path.name}", f"an ending of {', '.join(READERS)}", "convert the file"
        )
    try:
        return READERS[path.suffix](path)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(
            f"{path} that cannot be read ({reason})", f"a {path.suffix} file", "correct the file"
        ) from None

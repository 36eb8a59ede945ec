"""Statements under papers: records with lists of statements, theorems or lemmas become one record each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from precompute.errors import CorpusError

STATEMENT_LISTS: Mapping[str, str | None] = MappingProxyType(
    {"statements": None, "theorems": "theorem", "lemmas": "lemma"}
)
"""Keys of a paper that hold its statements, with the type of those that name none themselves."""

Record = Mapping[str, Any]


def is_paper(record: Record) -> bool:
    """Whether a record holds statements rather than a text of its own."""
    return any(isinstance(record.get(key, ""), list) for key in STATEMENT_LISTS)


def flattened(records: Iterable[Record], text_column: str, where: str) -> Iterator[dict[str, Any]]:
    """Every statement as a record of its own, in the order of the file; other records as they are.

    A statement keeps the fields of its paper; where both have a field of one name, the paper's becomes
    `paper_NAME`. Raises CorpusError, naming the record, for a statement without a text.
    """
    for number, record in enumerate(records, start=1):
        if not is_paper(record):
            yield dict(record)
            continue
        shared = {name: value for name, value in record.items() if name not in STATEMENT_LISTS}
        for key in (name for name in record if name in STATEMENT_LISTS):
            for place, item in enumerate(record[key] or [], start=1):
                entry = _statement(item, text_column, f"{where}, record {number}, {key} {place}")
                if STATEMENT_LISTS[key]:
                    entry.setdefault("type", STATEMENT_LISTS[key])
                yield {**_beside(shared, entry), **entry}


def _statement(item: Any, text_column: str, where: str) -> dict[str, Any]:
    if isinstance(item, str):
        return {text_column: item}
    if isinstance(item, dict) and isinstance(item.get(text_column, 0), str | None):
        return dict(item)
    found = f"no {text_column!r}" if isinstance(item, dict) else f"a JSON {type(item).__name__}"
    raise CorpusError(
        f"{where}: {found}", f"a text, or an object with {text_column!r}", "correct it, or set --text-column"
    )


def _beside(shared: Record, entry: Record) -> dict[str, Any]:
    """The paper's fields, those that the statement has too under another name."""
    return {f"paper_{name}" if name in entry else name: value for name, value in shared.items()}

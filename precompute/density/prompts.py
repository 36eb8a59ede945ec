"""Prompts: read from their files one at a time, and kept as a JSON list with one line for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from precompute.corpus.readers import json_objects
from precompute.corpus.texts import TEXT_ID_LENGTH, text_id
from precompute.density.groups import Groups
from precompute.errors import CorpusError

COLUMNS = ("prompt", "text")
"""Where a record has its prompt: the first of these that it has."""
RECORDS, LIST = ".jsonl", ".json"


def read_prompts(path: Path) -> Iterator[str]:
    """The prompts of a jsonl file of records, or of a JSON list, in order, one in memory at a time.

    Raises CorpusError, with the line's number, for what is no prompt; an empty text is one.
    """
    check_prompts(path)
    with _opened(path) as lines:
        yield from _of_records(path, lines) if path.suffix == RECORDS else _of_list(path, lines)


def check_prompts(path: Path) -> None:
    """Raise CorpusError where there is no file of prompts."""
    if not path.is_file():
        raise CorpusError(
            f"no prompts file {path}",
            "a jsonl file with prompt or text",
            "correct --prompts, or make one with `python -m precompute.density pairs`, then `prompts`",
        )
    if path.suffix not in (RECORDS, LIST):
        raise CorpusError(f"prompts in {path.name}", f"a {RECORDS} file", "convert the file")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} that is not UTF-8 ({error.reason})", "UTF-8", "convert the file") from None


def _of_records(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, record in json_objects(path, lines):
        column = next((name for name in COLUMNS if name in record), None)
        if column is None:
            raise _wrong(path, number, f"only {', '.join(record) or 'an empty object'}", "prompt or text")
        if not isinstance(record[column], str):
            raise _wrong(path, number, f"a {column} that is {_kind(record[column])}", "a text")
        yield record[column]


def _of_list(path: Path, lines: TextIO) -> Iterator[str]:
    """The strings of a list; one that `write_prompts_list` wrote is read line by line."""
    if lines.readline() == "[\n":
        for number, line in enumerate(lines, start=2):
            if line.rstrip() != "]":
                yield _string(path, number, line.rstrip().removesuffix(","))
        return
    lines.seek(0)
    try:
        found = json.load(lines)
    except ValueError as error:
        raise CorpusError(f"{path}: {error}", "a JSON list of texts", "correct the file") from None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise CorpusError(f"{path} that is no list of texts", "a JSON list of texts", "correct the file")
    yield from found


def _string(path: Path, number: int, line: str) -> str:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise _wrong(path, number, str(error), "one text a line") from None
    if not isinstance(found, str):
        raise _wrong(path, number, _kind(found), "a text")
    return found


def _kind(value: Any) -> str:
    return "null" if value is None else f"a JSON {type(value).__name__}"


def _wrong(path: Path, number: int, found: str, expected: str) -> CorpusError:
    return CorpusError(f"{path}, line {number}: {found}", expected, "correct the line")


def distinct_prompts(prompts: Iterable[str]) -> Iterator[str]:
    """Each text once, where it first occurs; in memory are the ids of those seen."""
    seen: set[bytes] = set()
    for prompt in prompts:
        key = bytes.fromhex(text_id(prompt))
        if key not in seen:
            seen.add(key)
            yield prompt


def groups_of(prompts: Iterable[str]) -> Groups:
    """Which prompts are the same text: those whose text ids are. In memory are 16 bytes of each."""
    ids = bytearray()
    for prompt in prompts:
        ids += bytes.fromhex(text_id(prompt))
    if not ids:
        raise CorpusError("prompts that hold no text", "at least one prompt", "check the file of --prompts")
    return Groups.of(np.frombuffer(bytes(ids), dtype=np.uint64).reshape(-1, TEXT_ID_LENGTH // 16))


def write_prompts_list(prompts: Iterable[str], path: Path) -> Groups:
    """Write prompts as a JSON list, and tell which are the same text; raises CorpusError for none at all."""
    with path.open("w", encoding="ascii") as file:
        groups = groups_of(_written(prompts, file))
        file.write("\n]\n")
    return groups


def _written(prompts: Iterable[str], file: TextIO) -> Iterator[str]:
    separator = "[\n"
    for prompt in prompts:
        file.write(separator + json.dumps(prompt))
        separator = ",\n"
        yield prompt

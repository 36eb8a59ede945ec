"""Preference data: a prompt with a chosen and a rejected answer, from a directory or a hub repository."""

from __future__ import annotations

import gzip
import json
import os.path
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from precompute.corpus.readers import json_objects
from precompute.durable import settle
from precompute.errors import CorpusError
from precompute.models.hub import resolve_directory

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv")
BUILTIN = "builtin"
"""The source that is the documentation on this machine: a summary, its body, and another one's body."""
ANSWER_MARK = "\n\nAssistant:"
"""In a dialogue written as one text, where an answer begins."""


@dataclass(frozen=True)
class Pair:
    """One preference."""

    prompt: str
    chosen: str
    rejected: str


@dataclass
class Count:
    """What became of the records of a source."""

    n_pairs: int = 0
    n_left_out: int = 0
    """Records whose two answers share no prompt, or are no texts."""


def read_pairs(source: str, count: Count) -> Iterator[Pair]:
    """The pairs of a directory, a file or a hub id: of all its data files, in the order of their names.

    Files without the columns chosen and rejected are other data, and passed over. Raises CorpusError where
    no file has them.
    """
    path = Path(source).expanduser()
    directory = path if path.is_file() else resolve_directory(source, None, "pairs", CorpusError, "dataset")
    files = [path] if path.is_file() else sorted(p for p in directory.rglob("*") if _is_data(p))
    n_files = 0
    for file in files:
        for place, record in enumerate(_records(file)):
            if not {"chosen", "rejected"} <= record.keys():
                break
            n_files += place == 0
            pair = pair_of(record)
            count.n_pairs += pair is not None
            count.n_left_out += pair is None
            if pair is not None:
                yield pair
    if not n_files:
        raise CorpusError(
            f"no preference data in {source}",
            f"files ({', '.join(SUFFIXES)}) with chosen, rejected and prompt",
            "correct --only, or [density.pairs] in --config",
        )


def _is_data(path: Path) -> bool:
    return path.is_file() and path.name.endswith(SUFFIXES)


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.name.endswith(".parquet"):
            yield from pl.read_parquet(path).iter_rows(named=True)
        elif path.name.endswith(".csv"):
            yield from pl.read_csv(path, infer_schema=False).iter_rows(named=True)
        else:
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8") as lines:
                yield from (record for _, record in json_objects(path, lines))
    except (pl.exceptions.PolarsError, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(f"{path} that cannot be read ({reason})", "whole data", "copy it again") from None


def pair_of(record: Mapping[str, Any]) -> Pair | None:
    """The pair of a record; None where its answers share no prompt.

    Answers may be texts beside a prompt, dialogues that begin alike, or lists of messages.
    """
    chosen, rejected, prompt = record["chosen"], record["rejected"], record.get("prompt")
    if _is_messages(chosen) and _is_messages(rejected):
        return _of_messages(prompt, chosen, rejected)
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        return None
    if isinstance(prompt, str):
        return Pair(prompt, chosen.removeprefix(prompt), rejected.removeprefix(prompt))
    shared = os.path.commonprefix([chosen, rejected])  # noqa: RUF071 - texts, not paths
    mark = shared.rfind(ANSWER_MARK)
    if mark < 0:
        return None
    cut = mark + len(ANSWER_MARK)
    return Pair(chosen[:cut], chosen[cut:], rejected[cut:])


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(message, dict) and isinstance(message.get("content"), str) for message in value
    )


def _of_messages(prompt: Any, chosen: list[Any], rejected: list[Any]) -> Pair | None:
    n_shared = next(
        (n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b),
        min(len(chosen), len(rejected)),
    )
    if _is_messages(prompt):
        prompt = _joined(prompt)
    if not isinstance(prompt, str):
        prompt = _joined(chosen[:n_shared])
    answers = _joined(chosen[n_shared:]), _joined(rejected[n_shared:])
    return Pair(prompt, *answers) if prompt and all(answers) else None


def _joined(messages: Iterable[Mapping[str, str]]) -> str:
    return "\n\n".join(message["content"] for message in messages)


def builtin_pairs(data_dir: Path, workers: int, count: Count) -> Iterator[Pair]:
    """Pairs of the documentation on this machine: to a summary, its own body and that of the next text."""
    from precompute.corpus.snapshot import take_snapshot
    from precompute.demo.embedder_pairs import summary_pairs

    table = summary_pairs(pl.read_parquet(take_snapshot(data_dir, workers)))
    summaries, bodies = table["summary"].to_list(), table["body"].to_list()
    for place, (summary, body) in enumerate(zip(summaries, bodies, strict=True)):
        count.n_pairs += 1
        yield Pair(f"{summary}\n\n", body, bodies[(place + 1) % len(bodies)])


def write_pairs(sources: Mapping[str, Iterable[Pair]], path: Path) -> None:
    """Write a jsonl file of source, prompt, chosen, rejected, whole or not at all."""
    lines = (
        {"source": name, "prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
        for name, pairs in sources.items()
        for pair in pairs
    )
    write_records(lines, path)


def write_records(records: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write records as JSON lines under another name, then under their own; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging, n_records = path.with_name(f".tmp-{path.name}"), 0
    with staging.open("w", encoding="ascii") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
            n_records += 1
    settle(staging, path)
    return n_records

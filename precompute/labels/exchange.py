"""Labels as JSON: every change with its author and time, so that two histories can be joined."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from precompute.errors import LabelError
from precompute.labels.content import (
    FIELDS,
    Change,
    Content,
    change_of,
    checked,
    checked_feature,
    checked_name,
    read_time,
    spelled_time,
)
from precompute.labels.merge import Offer

FORMAT = "lightwell labels"
FORMAT_VERSION = 1
MOST_BYTES = 32_000_000
"""Of a file that is taken in."""
KINDS = ("edit", "undo", "merge")
KNOWN = ("feature", *FIELDS, "author", "time", "kind", "undoes", "id")
UID = re.compile(r"[0-9a-f]{32}")
CHANGES_BEGIN = re.compile(r'"changes"\s*:\s*\[')


def decoded(raw: bytes) -> str:
    """The text of a file; raises LabelError for one that is too large, or names the line that is no UTF-8."""
    if len(raw) > MOST_BYTES:
        raise LabelError(
            f"a file of {len(raw):,} bytes", f"at most {MOST_BYTES:,}", "split it, and import the parts"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise bad_line(line, f"byte 0x{raw[error.start]:02x}, which is no UTF-8", "text in UTF-8") from None


def bad_line(line: int, found: str, expected: str) -> LabelError:
    """The refusal of a file, with its line and the reason."""
    return LabelError(f"line {line:,}: {found}", expected, "correct the file; nothing of it was imported")


def as_json(sae: str, changes: Iterable[Change]) -> str:
    """Changes as a file; one a line, so that two files can be compared."""
    lines = [json.dumps(_record(change), ensure_ascii=False) for change in changes]
    head = f'"format": {json.dumps(FORMAT)}, "version": {FORMAT_VERSION}, "sae": {json.dumps(sae)}'
    return f"{{{head}, " + '"changes": [\n' + ",\n".join(lines) + "\n]}\n"


def _record(change: Change) -> dict[str, Any]:
    record = {
        "feature": change.feature,
        **asdict(change.content),
        "author": change.author,
        "time": spelled_time(change.time),
        "kind": change.kind,
        "undoes": change.undoes,
        "id": change.uid,
    }
    return {key: value for key, value in record.items() if key != "undoes" or value}


def read_json(raw: bytes, sae: str, d_sae: int | None = None) -> tuple[Offer, ...]:
    """What a file of JSON offers; raises LabelError with line and reason, and then nothing of it is taken."""
    text = decoded(raw)
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise bad_line(error.lineno, f"{error.msg} (column {error.colno})", "JSON") from None
    except (ValueError, RecursionError) as error:
        raise bad_line(1, f"JSON that cannot be read ({error})", "a file of labels") from None
    records = _records(whole, sae)
    lines = _lines(text, len(records))
    found: dict[int, dict[str, Change]] = {}
    for record, line in zip(records, lines, strict=True):
        try:
            change = _change(record, sae, d_sae)
        except LabelError as error:
            raise bad_line(line, error.found, error.expected) from None
        if found.setdefault(change.feature, {}).setdefault(change.uid, change) is not change:
            raise bad_line(line, f"the change {change.uid} a second time", "each change once")
    return tuple(Offer(feature, tuple(own.values())) for feature, own in sorted(found.items()))


def _records(whole: Any, sae: str) -> list[Any]:
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise bad_line(1, "a file of something else", f'an object with "format": "{FORMAT}"')
    if whole.get("version") != FORMAT_VERSION:
        raise bad_line(1, f"version {whole.get('version')!a}"[:60], f"version {FORMAT_VERSION}")
    check_sae(whole.get("sae"), sae, 1)
    if not isinstance(whole.get("changes"), list):
        raise bad_line(1, "no list of changes", '"changes": [...]')
    records: list[Any] = whole["changes"]
    return records


def check_sae(found: object, sae: str, line: int) -> None:
    """Raise LabelError for labels of another SAE, whose features are other ones."""
    if found != sae:
        raise bad_line(line, f"labels of the SAE {found!a}"[:80], f"those of {sae}, whose features these are")


def _change(record: Any, sae: str, d_sae: int | None) -> Change:
    if not isinstance(record, dict):
        raise LabelError(f"{type(record).__name__} as a change", "an object", "")
    unknown = sorted(set(record) - set(KNOWN))
    if unknown:
        raise LabelError(f"unknown key {unknown[0]!a}"[:60], f"some of {', '.join(KNOWN)}", "")
    given = {name: record[name] for name in FIELDS if name in record}
    kind, undoes, uid = record.get("kind", "edit"), record.get("undoes"), record.get("id")
    if kind not in KINDS:
        raise LabelError(f"kind {kind!a}"[:60], f"one of {', '.join(KINDS)}", "")
    if undoes is not None and not (isinstance(undoes, str) and UID.fullmatch(undoes)):
        raise LabelError(f"undoes {undoes!a}"[:60], "the id of a change", "")
    change = change_of(
        sae,
        checked_feature(record.get("feature"), d_sae),
        checked(Content(**given)),
        checked_name(record.get("author"), "an author's name"),
        read_time(str(record.get("time", ""))),
        kind=kind,
        undoes=undoes,
    )
    if uid is not None and uid != change.uid:
        raise LabelError("an id that is not that of its content", "the id as exported, or none", "")
    return change


def _lines(text: str, n: int) -> Iterator[int]:
    """The line on which each change begins, as far as that can be told."""
    begin = CHANGES_BEGIN.search(text)
    place, decoder = begin.end() if begin else 0, json.JSONDecoder()
    line, counted = 1, 0
    for _ in range(n):
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        line, counted = line + text.count("\n", counted, place), place
        yield line
        try:
            _, place = decoder.raw_decode(text, place)
        except ValueError:
            place = len(text)

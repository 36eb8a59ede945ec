"""Labels as CSV, for spreadsheets: what is said now, one row a feature; no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from precompute.errors import LabelError
from precompute.labels.content import (
    Change,
    Content,
    change_of,
    checked,
    checked_feature,
    checked_name,
    read_time,
    spelled_time,
)
from precompute.labels.exchange import UID, bad_line, check_sae, decoded
from precompute.labels.merge import Offer

COLUMNS = ("feature", "label", "category", "confidence", "notes", "author", "time", "version", "sae")
"""`version` is the change that a row shows: a row that was edited is taken as a change of that one."""
FORMULA_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")
"""What makes a spreadsheet take a cell for a formula, where it comes first."""
QUOTE = "'"


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula: with an apostrophe before what could be one."""
    return QUOTE + text if text[:1] in FORMULA_SIGNS or text[:1] == QUOTE else text


def restored(cell: str) -> str:
    """The text that `neutral` made a cell of; a cell that it could not have made is left as it is."""
    marked = cell[:1] == QUOTE and len(cell) > 1 and (cell[1] in FORMULA_SIGNS or cell[1] == QUOTE)
    return cell[1:] if marked else cell


def as_csv(sae: str, current: Iterable[Change]) -> str:
    """What is said of each feature; features of which nothing is said have no row."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for change in current:
        said = change.content
        if said.is_empty:
            continue
        sure = "" if said.confidence is None else str(said.confidence)
        texts = (neutral(said.label), neutral(said.category), sure, neutral(said.notes))
        origin = (neutral(change.author), spelled_time(change.time), change.uid, sae)
        writer.writerow((str(change.feature), *texts, *origin))
    return out.getvalue()


def read_csv(raw: bytes, sae: str, author: str, time: int, d_sae: int | None = None) -> tuple[Offer, ...]:
    """What a table offers: columns `feature` and any of COLUMNS, in any order.

    Rows that were edited since they were exported, and rows that name no author, are `author`'s at `time`.
    Raises LabelError with line and reason, and then nothing of it is taken.
    """
    found: dict[int, Offer] = {}
    for line, row in _rows(decoded(raw)):
        try:
            offer = _offer(row, sae, author, time, d_sae)
        except LabelError as error:
            raise bad_line(line, error.found, error.expected) from None
        if "sae" in row:
            check_sae(row["sae"], sae, line)
        if offer.feature in found:
            raise bad_line(line, f"feature {offer.feature} a second time", "one row a feature")
        found[offer.feature] = offer
    return tuple(offer for _, offer in sorted(found.items()))


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row by its columns, with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    first = 1
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        first = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(header):
                    raise bad_line(first, f"{len(cells)} cells", f"{len(header)}, as in the first line")
                yield first, dict(zip(header, cells, strict=True))
            first = reader.line_num + 1
    except csv.Error as error:
        raise bad_line(first, f"no CSV ({error})", "comma-separated values") from None


def _check_header(header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or "feature" not in header or len(set(header)) < len(header):
        found = f"column {unknown[0]!a}"[:60] if unknown else "no column `feature`, or one of them twice"
        raise bad_line(1, found, f"`feature` and some of {', '.join(COLUMNS[1:])}")


def _offer(row: Mapping[str, str], sae: str, author: str, time: int, d_sae: int | None) -> Offer:
    feature = checked_feature(_whole(row["feature"], "feature"), d_sae)
    sure = row.get("confidence", "").strip()
    said = checked(
        Content(
            restored(row.get("label", "")),
            restored(row.get("category", "")),
            _whole(sure, "confidence") if sure else None,
            restored(row.get("notes", "")),
        )
    )
    writer, when = restored(row.get("author", "")), row.get("time", "").strip()
    own = change_of(
        sae,
        feature,
        said,
        checked_name(writer, "an author's name") if writer else author,
        read_time(when) if when else time,
    )
    version = row.get("version", "").strip()
    if version and not UID.fullmatch(version):
        raise LabelError(f"version {version!a}"[:60], "the one that was exported, or none", "")
    if not version or own.uid == version:
        return Offer(feature, (own,))
    return Offer(feature, (change_of(sae, feature, said, author, time),), base=version)


def _whole(text: str, name: str) -> int:
    stripped = text.strip()
    if not stripped.isascii() or not stripped.isdecimal() or len(stripped) > 9:
        raise LabelError(f"{name} {text!a}"[:60], "a whole number", "")
    return int(stripped)

"""A file of labels of either kind, told apart by how it begins."""

from __future__ import annotations

from precompute.labels.content import time_now
from precompute.labels.exchange import read_json
from precompute.labels.merge import Offer
from precompute.labels.spreadsheet import read_csv


def read_offers(raw: bytes, sae: str, author: str, d_sae: int | None = None) -> tuple[Offer, ...]:
    """What a file of JSON or CSV offers; rows of a table that name nobody are `author`'s, of now.

    Raises LabelError with line and reason, and then nothing of it is taken.
    """
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return read_json(raw, sae, d_sae)
    return read_csv(raw, sae, author, time_now(), d_sae)

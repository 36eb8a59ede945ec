"""Files of labels that wait to be taken in: read once, looked at, written when conflicts are decided."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries
from precompute.errors import LabelError
from precompute.labels.merge import Case, Decision, Merged, Offer, Side
from precompute.labels.offers import read_offers

MOST_WAITING = 4
"""Files kept in memory at the same time."""


@dataclass
class Waiting:
    """One file that was sent."""

    name: str
    offers: tuple[Offer, ...]
    looked_at: dict[int, str] = field(default_factory=dict)
    """Our change that each conflict was shown with."""


class ImportDesk:
    """The files that wait, by a token that only the page that sent one knows."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._files: OrderedDict[str, Waiting] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, name: str, raw: bytes, author: str) -> str:
        """Read a file and keep it; gives its token. Raises LabelError for what cannot be taken."""
        labels = self._queries.labels
        waiting = Waiting(name, read_offers(raw, labels.sae, author, self._queries.d_sae()))
        token = secrets.token_hex(16)
        with self._lock:
            self._files[token] = waiting
            while len(self._files) > MOST_WAITING:
                self._files.popitem(last=False)
        return token

    def get(self, token: object) -> Waiting:
        """The file of a token; raises LabelError where it waits no more."""
        with self._lock:
            found = self._files.get(token) if isinstance(token, str) else None
        if found is None:
            raise LabelError("a file that waits no more", "one that was just chosen", "choose the file again")
        return found

    def forget(self, token: object) -> None:
        """Let go of a file."""
        with self._lock:
            self._files.pop(str(token), None)

    def look(self, token: object) -> tuple[Waiting, tuple[Case, ...]]:
        """What taking a file in would do; what is looked at now is what will be decided."""
        waiting = self.get(token)
        cases = self._queries.labels.store.judge(waiting.offers)
        waiting.looked_at = {c.feature: c.mine.uid for c in cases if c.mine and c.kind == "conflict"}
        return waiting, cases

    def take_in(self, token: object, chosen: Mapping[int, Side], rest: Side | None, actor: str) -> Merged:
        """Write what a file offers, or give back the conflicts that are still open; then nothing is written.

        `rest` decides the conflicts that are not in `chosen`.
        """
        waiting, store = self.get(token), self._queries.labels.store
        theirs = {offer.feature: offer.changes[-1].content for offer in waiting.offers}
        sides = {feature: chosen.get(feature, rest) for feature in waiting.looked_at}
        decisions = {
            feature: Decision(side, waiting.looked_at[feature], theirs[feature])
            for feature, side in sides.items()
            if side is not None
        }
        return store.merge(waiting.offers, decisions, actor)


def read_side(value: object) -> Side | None:
    """A choice between two texts; None for none yet. Raises AddressError."""
    if value in (None, ""):
        return None
    if value == "mine":
        return "mine"
    if value == "theirs":
        return "theirs"
    raise AddressError(f"the choice {shortened(value)}", "mine or theirs", "choose on the page")

"""Questions asked of the labels and feature sets of one model type's SAE; answers hold for one version."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.labelling.text import in_a_chip, shown, when
from dashboard.tables import Tables, optional
from precompute.errors import LabelError
from precompute.labels.content import Change, checked_feature
from precompute.labels.database import Database
from precompute.labels.sets import FeatureSet, SetStore
from precompute.labels.store import LabelStore

FRAME = {
    "feature": pl.Int64,
    "label": pl.String,
    "category": pl.String,
    "confidence": pl.Int64,
    "notes": pl.String,
    "author": pl.String,
    "edited": pl.String,
}
"""What the feature table gets from the labels."""


@dataclass(frozen=True)
class LabelState:
    """What was said of the features at one moment; never changed, so that threads may share it."""

    number: int = 0
    """Of the newest change."""
    uid: str = ""
    """The newest change."""
    entries: Mapping[int, Change] = field(default_factory=dict)
    """What is said of each feature, cleared ones included."""

    @cached_property
    def said(self) -> tuple[Change, ...]:
        """Everything labelled or noted, by feature; cleared entries left out."""
        return tuple(entry for _, entry in sorted(self.entries.items()) if not entry.content.is_empty)

    @cached_property
    def labelled(self) -> NDArray[np.int64]:
        """int64 [n_labelled], ascending: the features that have a label."""
        return np.array([entry.feature for entry in self.said if entry.content.label], dtype=np.int64)

    @cached_property
    def categories(self) -> Mapping[str, int]:
        """The categories in use and how many labels each has, most used first."""
        counted = Counter(entry.content.category for entry in self.said if entry.content.category)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


class Labels:
    """Labels of one model type's SAE. Raises LabelError where they cannot be read."""

    def __init__(self, tables: Tables, author: str) -> None:
        self._tables = tables
        self.author = author
        """Who writes, unless the browser says otherwise."""
        self._database = Database(tables.artifacts.subject.data_dir)
        self._states: dict[str, LabelState] = {}
        self._lock = threading.Lock()

    @property
    def sae(self) -> str:
        """The content digest of the SAE, which labels are kept under."""
        return self._tables.derived("sae digest", "activations", self._tables.artifacts.sae_digest)

    @property
    def store(self) -> LabelStore:
        """Where labels are written."""
        return LabelStore(self._database, self.sae)

    @property
    def set_store(self) -> SetStore:
        """Where sets are written."""
        return SetStore(self._database, self.sae)

    # Labels.

    def version(self) -> str:
        """Changes with every write to labels or sets, of any process; cheap to ask for."""
        return f"{self.store.version()}.{self.set_store.version()}"

    def state(self) -> LabelState:
        """What is said now; only changes since the last question are read."""
        store, sae = self.store, self.sae
        with self._lock:
            known = self._states.get(sae, LabelState())
            if store.version() != known.number or not known.number:
                known = self._states[sae] = _brought_up(store, known)
            return known

    def entry(self, feature: int) -> Change | None:
        """What is said of a feature now; None where nothing ever was."""
        return self.state().entries.get(feature)

    def text(self, feature: int) -> str:
        """A feature's label as it is shown; empty where it has none, or labels cannot be read."""
        return shown(self._label(feature))

    def short(self, feature: int) -> str:
        """A feature's label beside its number."""
        return in_a_chip(self._label(feature))

    def _label(self, feature: int) -> str:
        entry = optional(lambda: self.entry(feature))
        return entry.content.label if entry else ""

    def said(self) -> tuple[Change, ...]:
        """Everything labelled or noted, by feature; cleared entries left out."""
        return self.state().said

    def categories(self) -> Mapping[str, int]:
        """The categories in use and how many labels each has, most used first."""
        return self.state().categories

    def frame(self) -> pl.DataFrame:
        """Everything labelled or noted as a table of FRAME, spelled as it is shown."""
        memo, number = self._tables.memo, self.state().number
        return memo.get("label frame", (self.sae, number), lambda: _frame(self.said()))

    def joined(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table of features with the columns of FRAME; without a label they are null."""
        frame = optional(self.frame)
        frame = pl.DataFrame(schema=FRAME) if frame is None else frame
        own = frame.with_columns(pl.col("feature").cast(table.schema["feature"]))
        return table.join(own, on="feature", how="left", maintain_order="left")

    # Feature sets.

    def sets(self) -> tuple[FeatureSet, ...]:
        """The named sets of features, by name."""
        store, memo = self.set_store, self._tables.memo
        version = (self.sae, store.version())
        return memo.get("feature sets", version, lambda: tuple(store.current().values()))

    def set_features(self, name: str) -> tuple[int, ...]:
        """The features of a set, ascending; raises LabelError naming the sets that there are."""
        found = {entry.name: entry.features for entry in self.sets()}
        if name not in found:
            there = ", ".join(shown(known, 40) for known in list(found)[:10]) or "none yet"
            raise LabelError(
                f"no set {name!a}"[:100],
                f"one of the sets there are ({there})",
                "choose one on the Labels page",
            )
        return found[name]

    def create_set(self, name: str, features: Iterable[int], author: str | None = None) -> FeatureSet:
        """Make a set of features; raises LabelError for a name that is taken, or no feature of the SAE."""
        d_sae = self._tables.artifacts.row_store().d_sae
        chosen = [checked_feature(feature, d_sae) for feature in features]
        return self.set_store.create(name, chosen, author or self.author)


def _brought_up(store: LabelStore, known: LabelState) -> LabelState:
    """A state with the changes since it; one of another file begins anew."""
    later = store.changes(after=max(0, known.number - 1))
    goes_on = bool(known.number and later and later[0].uid == known.uid)
    changes = later if goes_on or not known.number else store.changes()
    if not changes:
        return LabelState()
    before = known.entries if goes_on else {}
    entries = MappingProxyType({**before, **{change.feature: change for change in changes}})
    return LabelState(changes[-1].number, changes[-1].uid, entries)


def _frame(said: tuple[Change, ...]) -> pl.DataFrame:
    return pl.DataFrame([_spelled(change) for change in said], schema=FRAME, orient="row")


@lru_cache(maxsize=50_000)
def _spelled(change: Change) -> tuple[int | str | None, ...]:
    """A row of the table; after one edit all others are known already."""
    content = change.content
    texts = (shown(content.label) or None, shown(content.category) or None)
    notes = shown(content.notes) or None
    return change.feature, *texts, content.confidence, notes, shown(change.author), when(change.time)

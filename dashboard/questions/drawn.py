"""Examples of a feature under conditions: a range of activations, a value of the texts' metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard import formats
from dashboard.address import DIGITS, AddressError, shortened
from dashboard.bands import MISS
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.rows import (
    Span,
    band_spans,
    examples_of_rows,
    listed,
    metadata_values,
    one_a_text,
    texts_of_examples,
)
from dashboard.records import ShownExample
from precompute.stores.feature_store import FeatureActivations

N_DRAWN = 20
"""Examples drawn, one a text."""
EXAMPLE = "example"
"""In the place of a metadata column: the number of one example, whatever its band."""


@dataclass(frozen=True)
class Where:
    """A condition on the metadata of texts."""

    column: str
    value: str

    @property
    def example(self) -> int | None:
        """The one example that is wanted, where the condition names one."""
        return int(self.value) if self.column == EXAMPLE else None


@dataclass(frozen=True)
class Conditions:
    """Which examples are wanted."""

    band: str
    span: Span | None = None
    """In place of the band, where given."""
    where: Where | None = None

    @property
    def are_listed(self) -> bool:
        """Whether `examples.parquet` has them as they are."""
        return self.span is None and self.where is None


@dataclass(frozen=True)
class Drawn:
    """What was found."""

    examples: tuple[ShownExample, ...]
    n_rows: int
    """Rows in all that meet the conditions."""
    n_texts: int
    """Texts that hold them; equal ones count once."""
    is_drawn: bool
    """Whether those shown were drawn by seed from more, rather than being the strongest or all."""


def where_of(queries: Queries, value: object) -> Where | None:
    """A condition as an address has it, such as `package:polars`; None for none. Raises AddressError."""
    if value is None or value == "":
        return None
    columns = summaries.corpus(queries).metadata_columns
    column, _, wanted = value.partition(":") if isinstance(value, str) else ("", "", "")
    if column == EXAMPLE:
        return Where(EXAMPLE, str(_example_number(queries, wanted)))
    if column not in columns or not wanted:
        known = ", ".join((*columns, EXAMPLE))
        raise AddressError(f"where {shortened(value)}", f"column:value, column one of {known}", "correct it")
    return Where(column, wanted)


def _example_number(queries: Queries, value: str) -> int:
    last = summaries.corpus(queries).n_examples - 1
    number = int(value) if DIGITS.fullmatch(value) else -1
    if not 0 <= number <= last:
        raise AddressError(f"example {shortened(value)}", f"a number from 0 to {last:,}", "correct it")
    return number


def text_mask(queries: Queries, where: Where | None) -> NDArray[np.bool_]:
    """Which texts meet a condition: bool [n_texts], in the order of `Queries.corpus_texts()`."""
    if where is None:
        return np.ones(queries.corpus_texts().height, dtype=bool)
    return (metadata_values(queries, where.column) == where.value).fill_null(value=False).to_numpy()


def drawn_examples(queries: Queries, feature: int, conditions: Conditions) -> Drawn:
    """The examples that meet conditions, one a text: the strongest in the top band, else drawn by seed."""
    if conditions.where is not None and conditions.where.example is not None:
        return _one_example(queries, feature, conditions.where.example)
    if conditions.span is None and conditions.band == MISS:
        return _near_misses(queries, feature, conditions)
    found, texts = queries.activations(feature), texts_of_examples(queries)
    examples = examples_of_rows(queries, found.rows)
    meets = text_mask(queries, conditions.where)[texts.text[examples]]
    span = conditions.span or band_spans(queries, feature).get(conditions.band)
    chosen = np.flatnonzero(meets if span is None else meets & span.holds(found.acts))
    groups = texts.group[examples]
    strongest = span is None
    drawn = chosen if strongest else _generator(queries, feature).permutation(chosen)
    kept = one_a_text(_by_activation(drawn, found) if strongest else drawn, groups, N_DRAWN)
    n_texts = len(np.unique(groups[chosen]))
    shown = _shown(queries, found, _by_activation(kept, found), examples)
    return Drawn(shown, len(chosen), n_texts, is_drawn=not strongest and n_texts > len(kept))


def _by_activation(entries: NDArray[np.int64], found: FeatureActivations) -> NDArray[np.int64]:
    return entries[np.argsort(-found.acts[entries], kind="stable")]


def _shown(
    queries: Queries, found: FeatureActivations, entries: NDArray[np.int64], examples: NDArray[np.int64]
) -> tuple[ShownExample, ...]:
    table = listed(queries, examples[entries], found.rows[entries], found.acts[entries])
    return queries.shown_examples(found, table)


def _generator(queries: Queries, feature: int) -> np.random.Generator:
    return np.random.default_rng([seed_of(queries), feature])


def seed_of(queries: Queries) -> int:
    """The seed of every draw, as the settings of the model type have it."""
    return queries.artifacts.subject.settings.seed


def _one_example(queries: Queries, feature: int, example: int) -> Drawn:
    """One example as it is, also where the feature is silent on it."""
    found, index = queries.activations(feature), queries.row_index()
    first, last = np.searchsorted(found.rows, index.indptr[example : example + 2]).tolist()
    strongest = first + int(np.argmax(found.acts[first:last])) if last > first else None
    row = {
        "rank": 0,
        "example": example,
        "position": None if strongest is None else int(index.position[found.rows[strongest]]),
        "activation": 0.0 if strongest is None else float(found.acts[strongest]),
    }
    return Drawn(queries.shown_examples(found, pl.DataFrame([row])), last - first, 1, is_drawn=False)


def _near_misses(queries: Queries, feature: int, conditions: Conditions) -> Drawn:
    texts = texts_of_examples(queries)
    meets = text_mask(queries, conditions.where)
    known = queries.examples(feature, MISS)
    kept = tuple(example for example in known if meets[texts.text[example.example]])
    return Drawn(kept, 0, len(kept), is_drawn=False)


def equal_texts(queries: Queries, text_index: int, most: int = 40) -> list[str]:
    """Where the texts stand that are equal to one: their metadata, in words."""
    groups = queries.tables.derived("equal texts", "corpus", lambda: _groups(queries))
    mine = groups.filter(pl.col("text_index") == text_index)["duplicate_of"]
    same = groups.filter(pl.col("duplicate_of") == mine[0]).drop("duplicate_of")
    lines = [_words(row) for row in same.head(most).iter_rows(named=True)]
    hidden = same.height - len(lines)
    return [*lines, f"and {formats.plural(hidden, 'more text')}"] if hidden else lines


def _groups(queries: Queries) -> pl.DataFrame:
    return queries.artifacts.scan("corpus").select(pl.exclude("text", "text_id", "n_tokens")).collect()


def _words(row: dict[str, object]) -> str:
    number = row.pop("text_index")
    values = [str(value) for value in row.values() if value is not None]
    return " · ".join([*values, f"text {number:,}"])

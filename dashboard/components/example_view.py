"""Examples of a feature: a caption each, and the text coloured by how strongly it fires on each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dashboard import formats
from dashboard.address import feature_path
from dashboard.components.elements import Element, element, link
from dashboard.components.tokens import highlighted
from dashboard.queries import Queries
from dashboard.questions.drawn import EXAMPLE, equal_texts
from dashboard.records import ShownExample
from dashboard.token_view import Layers, excerpt, running
from precompute.stores.feature_store import FeatureActivations

METADATA_SHOWN = 4
"""Metadata values in an example's caption; the others are in its tooltip."""
LONGEST_VALUES = 180


@dataclass(frozen=True)
class Look:
    """How the examples of one feature are drawn."""

    feature: int
    top: float
    """Activation that gets the full colour."""
    second: FeatureActivations | None = None
    """Of the feature that is laid over."""
    second_top: float = 0.0
    bold: frozenset[int] = field(default_factory=frozenset)
    """Tokens in bold, by their number."""


def article(queries: Queries, example: ShownExample, look: Look) -> Element:
    """One example."""
    layers = Layers(
        second=_second(queries, example, look),
        second_top=look.second_top,
        bold=np.isin(example.token_ids, list(look.bold)) if look.bold else None,
        token_ids=example.token_ids,
        keeps_rest=True,
        is_set=example.is_set,
    )
    shown = excerpt(example.str_tokens, example.acts, look.top, example.position, layers=layers)
    copies = _copies(queries, example) if example.n_copies > 1 else []
    parts = [_caption(queries, example, look.feature), highlighted(shown), *copies]
    return element("Article", parts, className="example")


def group(queries: Queries, examples: Sequence[ShownExample], look: Look) -> Element:
    """Examples that read alike: the first, and the others on demand."""
    first, *others = (article(queries, example, look) for example in examples)
    if not others:
        return first
    sign = element("Summary", f"{len(others)} more with the same words up to the active token")
    return element("Div", [first, element("Details", [sign, *others], className="alike")], className="group")


def _second(queries: Queries, example: ShownExample, look: Look) -> NDArray[np.float32] | None:
    if look.second is None:
        return None
    rows, acts = look.second.rows, look.second.acts
    return queries.row_index().spread(example.example, len(example.str_tokens), rows, acts)


def _caption(queries: Queries, example: ShownExample, feature: int) -> Element:
    at = "" if example.position is None else f", token {example.position} of {len(example.str_tokens)}"
    shown = {name: running(str(value)) for name, value in example.metadata.items()}
    values = " · ".join(list(shown.values())[:METADATA_SHOWN])
    everything = " · ".join(f"{name}: {value}" for name, value in shown.items())
    activation = formats.decimal(example.activation, 4)
    href = queries.href(feature_path(feature, where=f"{EXAMPLE}:{example.example}", extent="whole"))
    about = f"Only this example, whole: text {example.text_id}, chunk {example.chunk}"
    place = link(f"example {example.example:,}{at}", href, className="place", title=about)
    parts = [element("Span", activation, className="activation", title="activation")]
    if values:
        parts.append(element("Span", _shortened(values), className="metadata", title=everything[:1000]))
    return element("Div", [*parts, place], className="example-head")


def _copies(queries: Queries, example: ShownExample) -> list[Element]:
    """Texts that are equal are shown once; where they stand is told on demand."""
    lines = [element("Li", running(line)) for line in equal_texts(queries, example.text_index)]
    sign = element("Summary", f"{example.n_copies} equal texts")
    return [element("Details", [sign, element("Ul", lines)], className="copies")]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUES else text[:LONGEST_VALUES] + "…"


def followers(examples: tuple[ShownExample, ...]) -> list[int]:
    """The tokens that stand after a token on which the feature fires, by their numbers, each once."""
    found: set[int] = set()
    for example in (example for example in examples if not example.is_set):
        (active,) = np.nonzero(example.acts[:-1] > 0)
        found |= {int(example.token_ids[position + 1]) for position in active}
    return sorted(found)

"""Features as one HTML file that opens without a server: compressed data, a style and a script inside."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import polars as pl

from precompute.errors import LightwellError, UsageError
from precompute.export.by_feature import FeatureTables
from precompute.export.excerpts import Excerpt, ExcerptReader, FeatureRows
from precompute.pipeline.origin import origin_of
from precompute.reading import Artifacts

PARTS = Path(__file__).with_name("page")
"""The page's skeleton, style and script."""
FEATURES_PER_BLOCK = 128
"""Features that are unpacked together when one of them is looked at."""
BEFORE, AFTER = 20, 12
"""Tokens of an example shown on each side of its activation."""
N_EFFECTS, N_RELATED, N_LISTED = 10, 10, 3
"""Tokens each way, related features, and promoted tokens in the list."""
STATISTICS = ("n_nonzero", "frac_active", "max", "mean_active", "q25", "median", "q75")
DIGITS = 4
"""Significant digits that are kept of a value."""


@dataclass
class Tokens:
    """The tokens that the page shows, numbered as they come up."""

    names: list[str]
    """The text of every token of the vocabulary."""
    places: dict[int, int] = field(default_factory=dict)

    def place(self, token: int) -> int:
        """The page's own number of a token."""
        return self.places.setdefault(int(token), len(self.places))

    def shown(self) -> list[str]:
        """The text of each, by the page's number."""
        return [self.names[token] for token in self.places]


def export(artifacts: Artifacts, features: Sequence[int] | None, target: Path, n_examples: int) -> int:
    """Write the page of some features, or of all; its size in bytes.

    Raises UsageError for a feature that there is not, ArtifactMissingError for what must be computed first.
    """
    d_sae = artifacts.feature_store().d_sae
    wrong = [feature for feature in features or () if not 0 <= feature < d_sae]
    if wrong:
        raise UsageError(f"feature {wrong[0]}", f"0 to {d_sae - 1:,}", "correct --features")
    chosen = sorted(set(features)) if features else list(range(d_sae))
    reader = Reader(artifacts, n_examples)
    staging = target.with_name(f".tmp-{target.name}")
    try:
        with staging.open("w", encoding="utf-8") as file:
            _write(file, reader, chosen)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)
    return target.stat().st_size


def _write(file: TextIO, reader: Reader, features: list[int]) -> None:
    skeleton = (PARTS / "page.html").read_text(encoding="utf-8")
    head, tail = skeleton.split("<!-- blocks -->")
    filled = {
        "title": html.escape(reader.title),
        "style": (PARTS / "page.css").read_text(encoding="utf-8"),
        "script": (PARTS / "page.js").read_text(encoding="utf-8"),
    }
    file.write(_filled(head, filled))
    rows: list[list[Any]] = []
    for number, start in enumerate(range(0, len(features), FEATURES_PER_BLOCK)):
        records = [reader.record(feature) for feature in features[start : start + FEATURES_PER_BLOCK]]
        rows += [_row(record) for record in records]
        file.write(_packed(f"block-{number}", records))
    about = {**reader.about, "n_shown": len(features), "features_per_block": FEATURES_PER_BLOCK}
    file.write(_packed("about", about))
    file.write(_packed("rows", rows))
    file.write(_packed("tokens", reader.tokens.shown()))
    file.write(_filled(tail, filled))


def _filled(skeleton: str, parts: dict[str, str]) -> str:
    for name, text in parts.items():
        skeleton = skeleton.replace(f"<!-- {name} -->", text)
    return skeleton


def _packed(name: str, content: Any) -> str:
    """Data as a script element that runs nothing: JSON, gzip, base64; the same data gives the same bytes."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), compresslevel=9, mtime=0))
    return f'<script type="application/octet-stream" id="packed-{name}">{packed.decode()}</script>\n'


def _row(record: dict[str, Any]) -> list[Any]:
    """What the list shows of a feature."""
    statistics, label = record["statistics"], record["label"] or {}
    promoted = [token for token, _ in record["promotes"][:N_LISTED]]
    return [
        record["feature"],
        label.get("label") or "",
        statistics.get("frac_active"),
        statistics.get("max"),
        promoted,
    ]


class Reader:
    """What the artifacts of a subject say of its features, small enough to be kept of all of them."""

    def __init__(self, artifacts: Artifacts, n_examples: int) -> None:
        store = artifacts.feature_store()
        self._tables, self._rows = FeatureTables(artifacts, store.d_sae), FeatureRows(store)
        self._excerpts, self._n_examples = ExcerptReader(artifacts), n_examples
        self._labels = _labels(artifacts)
        self.tokens = Tokens(artifacts.table("vocabulary")["token"].to_list())
        self.title = f"{artifacts.model_type.name}: SAE features"
        self.about = {
            "name": artifacts.model_type.name,
            "model": Path(origin_of(artifacts.model_type).places[0]).name,
            "sae": artifacts.sae_digest(),
            "between_tokens": " " if self._excerpts.are_sets else "",
            "n_rows": store.n_rows,
            "n_examples": artifacts.row_store().n_examples,
            "d_sae": store.d_sae,
        }

    def record(self, feature: int) -> dict[str, Any]:
        """Everything that the page shows of one feature."""
        fired = self._rows.of(feature)
        statistics = self._tables.of("feature_stats").row(feature) or {}
        examples = self._tables.of("examples").rows(feature)
        top = examples.filter(pl.col("band") == "top").sort("rank") if examples.height else examples
        shown = top.head(self._n_examples).select("example", "row", "activation") if top.height else top
        return {
            "feature": feature,
            "label": self._labels.get(feature),
            "statistics": {name: _short(statistics.get(name)) for name in STATISTICS},
            "histogram": self._histogram(feature),
            "promotes": self._effects(feature, "promotes"),
            "suppresses": self._effects(feature, "suppresses"),
            "neighbors": self._related(feature, "neighbors", "neighbor", "cosine"),
            "coactivations": self._related(feature, "coactivations", "other", "jaccard"),
            "cluster": (self._tables.of("feature_map").row(feature) or {}).get("label"),
            "examples": [
                self._example(self._excerpts.excerpt(example, "top", row, activation, fired))
                for example, row, activation in shown.iter_rows()
            ],
        }

    def _histogram(self, feature: int) -> dict[str, Any] | None:
        row = self._tables.of("histograms").row(feature)
        if row is None or not row["counts"]:
            return None
        edges = row["bin_edges"]
        return {"low": _short(edges[0]), "high": _short(edges[-1]), "counts": list(row["counts"])}

    def _effects(self, feature: int, direction: str) -> list[tuple[int, float]]:
        rows = self._tables.of("influences").rows(feature)
        if not rows.height:
            return []
        best = rows.filter(pl.col("direction") == direction).sort("rank").head(N_EFFECTS)
        pairs = best.select("token_id", "influence").iter_rows()
        return [(self.tokens.place(token), _short(value)) for token, value in pairs]

    def _related(self, feature: int, table: str, other: str, measure: str) -> list[tuple[int, float]]:
        rows = self._tables.of(table).rows(feature)
        if not rows.height:
            return []
        pairs = rows.sort("rank").head(N_RELATED).select(other, measure).iter_rows()
        return [(number, _short(value)) for number, value in pairs]

    def _example(self, found: Excerpt) -> dict[str, Any]:
        """The tokens about the activation, and those of them on which the feature fires."""
        at = found.position
        first = 0 if at is None else max(0, at - BEFORE)
        stop = len(found.token_ids) if at is None else at + AFTER + 1
        acts = found.acts[first:stop]
        places = np.flatnonzero(acts).tolist()
        return {
            "example": found.example,
            "before": first,
            "after": max(0, len(found.token_ids) - stop),
            "at": None if at is None else at - first,
            "tokens": [self.tokens.place(token) for token in found.token_ids[first:stop].tolist()],
            "acts": [[place, _short(acts[place])] for place in places],
        }


def _labels(artifacts: Artifacts) -> dict[int, dict[str, Any]]:
    """What people call the features, where labels can be read."""
    try:
        current = artifacts.labels().current()
    except (LightwellError, OSError):
        return {}
    named = ("label", "category", "notes")
    return {feature: {name: getattr(value, name) for name in named} for feature, value in current.items()}


def _short(value: Any) -> Any:
    """A number to a few significant digits; absent stays absent."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if np.isfinite(number) else None


def feature_numbers(text: str) -> list[int]:
    """Numbers and ranges A:B of features, with commas between them; raises ValueError for other text."""
    return list(_numbers(text.split(",")))


def _numbers(parts: Iterable[str]) -> Iterator[int]:
    for part in parts:
        first, colon, stop = part.strip().partition(":")
        yield from range(int(first), int(stop)) if colon else [int(first)]

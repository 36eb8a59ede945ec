"""A whole SAE in the format that Neuronpedia takes: batches of features as JSON.

The layout is that of SAEDashboard 0.8 (sae_dashboard/neuronpedia/neuronpedia_dashboard.py and its converter),
which Neuronpedia's own `convert-saedashboard-to-neuronpedia-export.py` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import ArrayLike, NDArray

from precompute.export.by_feature import FeatureTables
from precompute.export.excerpts import Excerpt, ExcerptReader, FeatureRows
from precompute.reading import Artifacts
from precompute.stores.feature_store import FeatureActivations

N_EFFECTS = 10
"""Tokens each way that the site shows."""
N_ALIGNED = 3
"""Dimensions of the residual stream, and related features, that it shows."""
BANDS = re.compile(r"top|v(\d+)")
"""Bands of examples that it knows: the strongest, and equal widths of (0, max]."""
TOP_BAND = -1
"""Its mark of the strongest examples, in the place of an interval's lower bound and share."""


@dataclass(frozen=True)
class Target:
    """Where on Neuronpedia the SAE is to stand."""

    model_id: str
    """Neuronpedia's name of the model, such as gpt2-small."""
    layer: int
    sae_set: str
    """Name of the source set, such as res-jb."""
    sae_id_suffix: str | None = None
    """What stands after the set's name, where it has several SAEs of a layer."""
    dataset: str = ""
    """What the site is to name as the texts' origin."""


@dataclass(frozen=True)
class Activation:
    """One example, as the site keeps it."""

    bin_min: float
    bin_max: float
    bin_contains: float
    """Share of the feature's activations in the interval; -1 for the strongest examples."""
    tokens: list[str]
    values: list[float]
    qualifying_token_index: int


@dataclass(frozen=True)
class Feature:
    """One feature, as the site keeps it; what was not computed is empty."""

    feature_index: int
    frac_nonzero: float
    n_prompts_total: int
    n_tokens_in_prompt: int
    dataset: str
    neuron_alignment_indices: list[int] = field(default_factory=list)
    neuron_alignment_values: list[float] = field(default_factory=list)
    neuron_alignment_l1: list[float] = field(default_factory=list)
    correlated_neurons_indices: list[int] = field(default_factory=list)
    correlated_neurons_l1: list[float] = field(default_factory=list)
    correlated_neurons_pearson: list[float] = field(default_factory=list)
    correlated_features_indices: list[int] = field(default_factory=list)
    correlated_features_l1: list[float] = field(default_factory=list)
    """Cosines, which the site keeps under this name."""
    correlated_features_pearson: list[float] = field(default_factory=list)
    neg_str: list[str] = field(default_factory=list)
    neg_values: list[float] = field(default_factory=list)
    pos_str: list[str] = field(default_factory=list)
    pos_values: list[float] = field(default_factory=list)
    freq_hist_data_bar_values: list[float] = field(default_factory=list)
    freq_hist_data_bar_heights: list[float] = field(default_factory=list)
    logits_hist_data_bar_heights: list[float] = field(default_factory=list)
    logits_hist_data_bar_values: list[float] = field(default_factory=list)
    decoder_weights_dist: list[float] = field(default_factory=list)
    activations: list[Activation] = field(default_factory=list)
    vector: list[float] = field(default_factory=list)


def export(artifacts: Artifacts, target: Target, directory: Path, features_per_batch: int) -> int:
    """Write batch-N.json, skipped_indexes.json and run_settings.json; the number of features written.

    Silent features are listed as skipped. Raises ArtifactMissingError for what must be computed first.
    """
    directory.mkdir(parents=True, exist_ok=True)
    table = artifacts.table("feature_stats")
    alive = table.filter(pl.col("n_nonzero") > 0)["feature"].sort().to_list()
    reader = Reader(artifacts, target)
    for number, start in enumerate(range(0, len(alive), features_per_batch)):
        features = [reader.feature(f) for f in alive[start : start + features_per_batch]]
        batch = {
            "model_id": target.model_id,
            "layer": target.layer,
            "sae_set": target.sae_set,
            "sae_id_suffix": target.sae_id_suffix,
            "features": features,
        }
        _write(directory / f"batch-{number}.json", batch)
    silent = sorted(set(table["feature"].to_list()) - set(alive))
    _write(directory / "skipped_indexes.json", _skipped(target, silent))
    _write(directory / "run_settings.json", reader.settings(features_per_batch))
    return len(alive)


def _skipped(target: Target, silent: Sequence[int]) -> dict[str, Any]:
    return {
        "model_id": target.model_id,
        "layer": str(target.layer),
        "sae_set": target.sae_set,
        "log_sparsity": None,
        "skipped_indexes": silent,
    }


class Reader:
    """What the artifacts of a subject say of its features, in Neuronpedia's terms."""

    def __init__(self, artifacts: Artifacts, target: Target) -> None:
        self._target = target
        store = artifacts.feature_store()
        self._tables, self._rows = FeatureTables(artifacts, store.d_sae), FeatureRows(store)
        self._excerpts = ExcerptReader(artifacts)
        self._n_widths = _n_widths(self._tables.of("examples").table)
        self._names = artifacts.table("vocabulary")["token"].to_list()
        self._directions = artifacts.array("directions")
        self._n_prompts = artifacts.row_store().n_examples
        self._n_ctx = int(artifacts.record("corpus")["n_ctx"])

    def settings(self, features_per_batch: int) -> dict[str, Any]:
        """What the runner would have been told."""
        target = self._target
        return {
            "sae_set": target.sae_set,
            "sae_path": "",
            "np_set_name": target.sae_set,
            "np_sae_id_suffix": target.sae_id_suffix,
            "model_id": target.model_id,
            "layer": target.layer,
            "huggingface_dataset_path": target.dataset,
            "n_prompts_total": self._n_prompts,
            "n_tokens_in_prompt": self._n_ctx,
            "n_features_at_a_time": features_per_batch,
        }

    def feature(self, feature: int) -> Feature:
        """All that the site keeps of a feature."""
        fired = self._rows.of(feature)
        statistics = self._tables.of("feature_stats").row(feature) or {}
        return Feature(
            feature_index=feature,
            frac_nonzero=float(statistics["frac_active"]),
            n_prompts_total=self._n_prompts,
            n_tokens_in_prompt=self._n_ctx,
            dataset=self._target.dataset,
            activations=list(self._activations(feature, fired, float(statistics["max"]))),
            **self._aligned(feature),
            **self._related(feature),
            **self._effects(feature),
            **self._histogram(feature, "histograms", "freq_hist_data"),
            **self._histogram(feature, "logit_stats", "logits_hist_data"),
        )

    def _aligned(self, feature: int) -> dict[str, Any]:
        """The dimensions along which the direction is longest, and their shares of its L1 norm."""
        direction = np.asarray(self._directions[feature], dtype=np.float64)
        best = np.argsort(-np.abs(direction), kind="stable")[:N_ALIGNED]
        shares = np.abs(direction[best]) / max(float(np.abs(direction).sum()), 1e-12)
        return {
            "neuron_alignment_indices": best.tolist(),
            "neuron_alignment_values": _rounded(direction[best]),
            "neuron_alignment_l1": _rounded(shares),
        }

    def _related(self, feature: int) -> dict[str, Any]:
        rows = self._tables.of("coactivations").rows(feature)
        if not rows.height:
            return {}
        best = rows.drop_nulls("pearson").sort("pearson", descending=True).head(N_ALIGNED)
        others = best["other"].to_list()
        return {
            "correlated_features_indices": others,
            "correlated_features_pearson": _rounded(best["pearson"].to_list()),
            "correlated_features_l1": _rounded([self._cosine(feature, other) for other in others]),
        }

    def _cosine(self, one: int, other: int) -> float:
        a, b = (np.asarray(self._directions[f], dtype=np.float64) for f in (one, other))
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / lengths if lengths else 0.0

    def _effects(self, feature: int) -> dict[str, Any]:
        rows = self._tables.of("influences").rows(feature)
        found: dict[str, Any] = {}
        for name, direction in (("pos", "promotes"), ("neg", "suppresses")):
            if rows.height:
                best = rows.filter(pl.col("direction") == direction).sort("rank").head(N_EFFECTS)
                found[f"{name}_str"] = best["token"].to_list()
                found[f"{name}_values"] = _rounded(best["influence"].to_list())
        return found

    def _histogram(self, feature: int, table: str, name: str) -> dict[str, Any]:
        row = self._tables.of(table).row(feature)
        if row is None or not row["counts"]:
            return {}
        edges = np.asarray(row["bin_edges"], dtype=np.float64)
        middles = (edges[:-1] + edges[1:]) / 2
        return {f"{name}_bar_values": _rounded(middles), f"{name}_bar_heights": list(row["counts"])}

    def _activations(self, feature: int, fired: FeatureActivations, most: float) -> Iterator[Activation]:
        rows = self._tables.of("examples").rows(feature)
        bands = [band for band in rows["band"].unique() if BANDS.fullmatch(band)] if rows.height else []
        acts = np.asarray(fired.acts, dtype=np.float64)
        for band in sorted(bands, key=_number, reverse=True):
            interval = _interval(band, self._n_widths, most, acts)
            chosen = rows.filter(pl.col("band") == band).sort("rank")
            columns = chosen.select("example", "row", "activation").iter_rows()
            for example, row, activation in columns:
                found = self._excerpts.excerpt(example, band, row, activation, fired)
                yield self._activation(found, interval)

    def _activation(self, found: Excerpt, interval: tuple[float, float, float]) -> Activation:
        tokens = [self._names[token] for token in found.token_ids.tolist()]
        peak = int(found.acts.argmax()) if found.position is None and tokens else found.position or 0
        return Activation(*interval, tokens, _rounded(found.acts), peak)


def _n_widths(examples: pl.DataFrame) -> int:
    """Intervals of (0, max], of which only the last, with the greatest activation, is never empty."""
    names = examples["band"].unique().to_list() if examples.height else []
    return max((int(found[1]) for found in map(BANDS.fullmatch, names) if found and found[1]), default=0)


def _number(band: str) -> float:
    """The place of a band, the highest first: the strongest before every interval."""
    found = BANDS.fullmatch(band)
    return float(found[1]) if found and found[1] else float("inf")


def _interval(band: str, n_widths: int, most: float, acts: NDArray[np.float64]) -> tuple[float, float, float]:
    """Lower bound, upper bound, and the share of activations between them."""
    if band == "top":
        return TOP_BAND, round(most, 3), TOP_BAND
    number = int(_number(band))
    low, high = most * (number - 1) / n_widths, most * number / n_widths
    share = float(((acts > low) & (acts <= high)).mean()) if len(acts) else 0.0
    return round(low, 3), round(high, 3), round(share, 5)


def _rounded(values: ArrayLike) -> list[float]:
    rounded: list[float] = np.round(np.asarray(values, dtype=np.float64), 3).tolist()
    return rounded


def _write(path: Path, content: dict[str, Any]) -> None:
    """Written beside its place and moved there whole."""
    staging = path.with_name(f".tmp-{path.name}")
    staging.write_bytes(orjson.dumps(content))
    staging.replace(path)

"""Questions about density weights: what other settings would make of the distances that were computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries
from dashboard.records import Histogram
from precompute.artifacts.shelf import Shelf
from precompute.density.results import DensityResult, open_density
from precompute.density.stages import STAGES, WEIGHTS
from precompute.density.weights import WeightSettings, distinct_weights, effective_sample_size, row_weights
from precompute.errors import ArtifactMissingError

ROOT = "density"
"""In the data directory: one directory a model source."""
STANDARD = "base"
CHOICES = ("exponent", "cap", "mix")
"""What a person chooses: parameters of the address, and the sliders."""
LIMITS: Mapping[str, tuple[float, float]] = {"exponent": (-3, 3), "cap": (1, 100), "mix": (0, 1)}
"""The ends of the sliders."""
BINS = 50
PARTS = 10
"""Into which prompts are cut by distance, for what the sampler draws."""
LISTED = 12
"""Prompts in each list."""


@dataclass(frozen=True)
class DensityRun:
    """The published weights of one model source."""

    name: str
    version: tuple[str, ...]
    result: DensityResult

    @cached_property
    def settings(self) -> WeightSettings:
        """Those that the published weights were computed with."""
        known = self.result.metadata
        return WeightSettings(alpha=known["alpha"], favor=known["favor"], cap=known["cap"], mix=known["mix"])

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """[n_distinct]: mean cosine distance to the nearest others."""
        return np.asarray(self.result.distances)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """[n]: the number of each prompt's distinct text."""
        return np.asarray(self.result.groups)

    @cached_property
    def copies(self) -> NDArray[np.int64]:
        """[n_distinct]: prompts with that text."""
        return np.bincount(self.groups, minlength=len(self.distances))

    @cached_property
    def firsts(self) -> NDArray[np.int64]:
        """[n_distinct]: the first prompt with that text."""
        return np.unique(self.groups, return_index=True)[1]

    @cached_property
    def prompts(self) -> list[str]:
        """All prompts, in their order."""
        return self.result.prompts()


def names(queries: Queries) -> list[str]:
    """The model sources that have weights, the usual one first."""
    root = queries.artifacts.subject.data_dir / ROOT
    there = root.iterdir() if root.is_dir() else ()
    found = sorted(path.name for path in there if Shelf(path).pointer(WEIGHTS.name).is_symlink())
    return sorted(found, key=lambda name: name != STANDARD)


def opened(queries: Queries, source: object) -> DensityRun:
    """The weights of a source; without one, the first. Raises AddressError for one that there is not, and
    ArtifactMissingError where there is none at all."""
    known = names(queries)
    if not known:
        raise ArtifactMissingError(
            f"no density weights in {queries.artifacts.subject.data_dir / ROOT}; "
            "run: python -m precompute.density pairs --only demo && python -m precompute.density prompts "
            f"&& python -m precompute.density{queries.options}"
        )
    name = known[0] if source is None else source
    if not isinstance(name, str) or name not in known:
        wanted = f"one of {', '.join(known)}"
        raise AddressError(f"model source {shortened(name)}", wanted, "choose a source on the page")
    directory = queries.artifacts.subject.data_dir / ROOT / name
    version = _version(directory)
    return queries.tables.memo.get(
        ("density run", name), version, lambda: DensityRun(name, version, open_density(directory))
    )


def _version(directory: Path) -> tuple[str, ...]:
    shelf = Shelf(directory)
    try:
        return tuple(shelf.version_name(stage.name) for stage in STAGES)
    except OSError:
        return ()


def settings_of(run: DensityRun, chosen: Mapping[str, object]) -> WeightSettings:
    """The settings that an address or the sliders name; what they leave out is as it was computed. Raises
    AddressError."""
    known = run.settings
    standard = {"exponent": known.exponent, "cap": known.cap, "mix": known.mix}
    values = {name: _number(name, chosen.get(name), standard[name]) for name in CHOICES}
    favor = known.favor if values["exponent"] == 0 else "rare" if values["exponent"] > 0 else "dense"
    return WeightSettings(alpha=abs(values["exponent"]), favor=favor, cap=values["cap"], mix=values["mix"])


def _number(name: str, value: object, standard: float) -> float:
    if value is None:
        return standard
    low, high = LIMITS[name]
    try:
        number = float(value) if isinstance(value, str | int | float) else np.nan
    except ValueError:
        number = np.nan
    if isinstance(value, bool) or not (low <= number <= high or number == standard):
        wanted = f"a number from {low:g} to {high:g}"
        raise AddressError(f"{name} {shortened(value)}", wanted, "choose it on the page")
    return number


@dataclass(frozen=True)
class Weighed:
    """What some settings make of a run."""

    run: DensityRun
    settings: WeightSettings
    distinct: NDArray[np.float64]
    """[n_distinct]: weights that sum to 1."""
    rows: NDArray[np.float32]
    """[n]: each prompt's chance to be drawn."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """[n_distinct]: weights in uniform shares of a text."""
        return self.distinct * len(self.distinct)

    @property
    def effective(self) -> float:
        """Kish's effective sample size."""
        return effective_sample_size(self.rows)

    @property
    def n_capped(self) -> int:
        """Texts at the cap."""
        n = len(self.distinct)
        top = (1 - self.settings.mix) * min(self.settings.cap / n, 1) + self.settings.mix / n
        return int((self.distinct >= top * (1 - 1e-9)).sum()) if self.settings.cap < n else 0

    def histogram(self) -> Histogram:
        """Texts by weight, in uniform shares."""
        low, high = float(self.shares.min()), float(self.shares.max())
        # Equal weights differ by rounding alone.
        if high - low < 1e-6 * high:
            low, high = low - 0.5, high + 0.5
        counts, edges = np.histogram(self.shares, BINS, (low, high))
        return Histogram(edges, counts, 0)

    def drawn(self) -> NDArray[np.float64]:
        """[PARTS]: share of the draws that falls to each tenth of the prompts, from the densest to the most
        alone."""
        order = np.argsort(self.run.distances[self.run.groups], kind="stable")
        return np.array([self.rows[part].sum(dtype=np.float64) for part in np.array_split(order, PARTS)])

    def expected_distinct(self) -> float:
        """Distinct texts expected in as many draws as there are prompts."""
        n = len(self.rows)
        with np.errstate(divide="ignore"):
            missed = np.exp(n * np.log1p(-np.minimum(self.distinct, 1.0)))
        return float((1 - missed).sum())


def weighed(queries: Queries, run: DensityRun, settings: WeightSettings) -> Weighed:
    """The weights that some settings give; nothing is embedded or searched for it."""

    def found() -> Weighed:
        distinct = distinct_weights(run.distances, settings)
        return Weighed(run, settings, distinct, row_weights(distinct, run.groups))

    return queries.tables.memo.get(("weighed", run.name), (run.version, settings), found)


def uniform_distinct(run: DensityRun) -> float:
    """Distinct texts expected in as many uniform draws as there are prompts."""
    n = len(run.groups)
    return float((1 - (1 - run.copies / n) ** n).sum())


def extremes(run: DensityRun, most_alone: bool) -> list[int]:
    """Distinct texts with the greatest distance to the nearest others, or with the least."""
    order = np.argsort(-run.distances if most_alone else run.distances, kind="stable")
    return [int(text) for text in order[:LISTED]]


def duplicated(run: DensityRun) -> list[int]:
    """Distinct texts that stand more than once, the most frequent first."""
    order = np.argsort(-run.copies, kind="stable")[:LISTED]
    return [int(text) for text in order if run.copies[text] > 1]


def exported(found: Weighed) -> pl.DataFrame:
    """Every prompt with its weight: row, prompt, text (number of the distinct text), distance, weight."""
    run = found.run
    return pl.DataFrame(
        {
            "row": np.arange(len(run.groups)),
            "prompt": run.prompts,
            "text": run.groups,
            "distance": run.distances[run.groups],
            "weight": found.rows,
        }
    )

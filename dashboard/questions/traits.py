"""Questions about traits: their vectors, and how these lie to the features of the SAE that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32

from dashboard.address import AddressError, shortened
from dashboard.queries import Queries
from dashboard.questions.contrast import MOST_TEXTS, group_of_sums
from dashboard.questions.differences import Differences, differences, ranked
from dashboard.questions.matching import promoted_tokens, unit_directions
from dashboard.questions.sources import source_digest
from dashboard.questions.summaries import hook_name
from dashboard.records import Histogram
from precompute.artifacts.shelf import Shelf
from precompute.config import load_config
from precompute.errors import ArtifactMissingError, CorruptArtifactError
from precompute.extraction.experiment import defined_traits, trait_directory
from precompute.extraction.results import TraitResult, open_trait
from precompute.extraction.stages import GENERATION, STAGES, VECTORS

NEAREST = 15
"""Features listed."""
BINS = 30
SHOWN = 4
"""Responses of each side whose tokens are shown."""
LONGEST_STRENGTH = 20.0
SEPARATOR = "/"
"""Between experiment and trait in an address."""


@dataclass(frozen=True)
class OpenedTrait:
    """The published vectors of one trait."""

    experiment: str
    name: str
    version: tuple[str, ...]
    result: TraitResult
    model_digest: str | None
    """Of the model whose trait it is, by content."""

    @property
    def key(self) -> str:
        """As addresses have it."""
        return f"{self.experiment}{SEPARATOR}{self.name}"


@dataclass(frozen=True)
class View:
    """What of a trait is shown."""

    trait: OpenedTrait
    method: str
    site: str

    @property
    def record(self) -> dict[str, Any]:
        """What is known of the vector."""
        found: dict[str, Any] = self.trait.result.summary(self.method)["sites"][self.site]
        return found

    @property
    def direction(self) -> Float32[np.ndarray, " d"]:
        """The vector, of length 1."""
        return self.trait.result.direction(self.method, self.site)

    @property
    def midpoint(self) -> float:
        """Halfway between the means of the sides, along the vector."""
        return float((self.record["mean_pos"] + self.record["mean_neg"]) / 2)


def defined(queries: Queries) -> list[str]:
    """Every trait that is defined, computed or not."""
    subject = queries.artifacts.subject
    config = load_config(_config(queries))
    return [
        f"{experiment}{SEPARATOR}{trait}" for experiment, trait in defined_traits(subject.data_dir, config)
    ]


def _config(queries: Queries) -> Path | None:
    return queries.embedded.config


def computed(queries: Queries) -> list[str]:
    """Those that have vectors."""
    return [name for name in defined(queries) if _shelf(queries, name).pointer(VECTORS.name).is_symlink()]


def opened(queries: Queries, name: object) -> OpenedTrait:
    """The vectors of a trait; without a name, of the first that has some. Raises AddressError for one that
    there is not, and ArtifactMissingError where there are no vectors."""
    known = defined(queries)
    if name is None:
        there = computed(queries)
        if not there:
            raise ArtifactMissingError(
                "no trait vectors yet; run: python -m precompute.extraction run --experiment demo"
            )
        name = there[0]
    if not isinstance(name, str) or name not in known:
        wanted = f"one of {', '.join(known) or 'none'}"
        raise AddressError(f"trait {shortened(name)}", wanted, "choose a trait on the page")
    shelf = _shelf(queries, name)
    version = _version(shelf)

    def found() -> OpenedTrait:
        experiment, _, trait = name.partition(SEPARATOR)
        manifest = shelf.manifest(GENERATION.name)
        model = dict(manifest.sources.get("model", {})) if manifest else {}
        digest = model.get("model") if model.get("adapter") is None else None
        return OpenedTrait(experiment, trait, version, open_trait(shelf.directory), digest)

    return queries.tables.memo.get(("trait", name), version, found)


def view_of(queries: Queries, chosen: Mapping[str, object]) -> View:
    """What an address names; what it leaves out is the SAE's site, where the trait has it, and the method
    that does best there. Raises AddressError."""
    trait = opened(queries, chosen.get("trait"))
    result = trait.result
    here = hook_name(queries)
    site, method = chosen.get("site"), chosen.get("method")
    if site is None:
        best = max(result.methods, key=lambda name: _best_auc(result, name))
        site = here if here in result.sites and is_of_model(queries, trait) else result.summary(best)["best"]
    if not isinstance(site, str) or site not in result.sites:
        raise AddressError(f"site {shortened(site)}", f"one of {', '.join(result.sites)}", "choose a site")
    if method is None:
        method = max(result.methods, key=lambda name: result.summaries[name]["sites"][site]["auc"])
    if not isinstance(method, str) or method not in result.methods:
        raise AddressError(f"method {shortened(method)}", f"one of {', '.join(result.methods)}", "choose one")
    return View(trait, method, site)


def _best_auc(result: TraitResult, method: str) -> float:
    summary = result.summaries[method]
    return float(summary["sites"][summary["best"]]["auc"])


def is_of_model(queries: Queries, trait: OpenedTrait) -> bool:
    """Whether it is a trait of the very model that is shown."""
    own = source_digest(queries, "activations", "model")
    return own is not None and own == trait.model_digest


def is_at_sae(queries: Queries, view: View) -> bool:
    """Whether the vector lies where the SAE reads, in the same model."""
    return view.site == hook_name(queries) and is_of_model(queries, view.trait)


# What the vectors do.


def histograms(view: View) -> tuple[Histogram, Histogram]:
    """Projections of both sides on held-out questions, in the same bins: positive, negative."""
    table = view.trait.result.projections.filter(
        pl.col("method") == view.method, pl.col("site") == view.site, pl.col("is_held_out")
    )
    values = table["projection"].to_numpy().astype(np.float64)
    low, high = float(values.min()), float(values.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    positive = table["is_positive"].to_numpy()
    made = [np.histogram(values[side], BINS, (low, high)) for side in (positive, ~positive)]
    return Histogram(made[0][1], made[0][0]), Histogram(made[1][1], made[1][0])


@dataclass(frozen=True)
class Near:
    """A feature by the cosine of its decoder direction with a trait vector."""

    feature: int
    cosine: float
    promotes: tuple[str, ...]
    """The tokens that it promotes most, as they are shown; empty where not computed."""


def nearest_features(queries: Queries, view: View) -> list[Near]:
    """The features whose decoder directions lie closest to the vector, either way."""
    cosines = cosines_with(queries, view.direction)
    few = min(NEAREST, len(cosines))
    best = np.argsort(-np.abs(cosines), kind="stable")[:few]
    tokens = promoted_tokens(queries, best.tolist())
    return [Near(f, float(cosines[f]), tokens.get(f, ())) for f in best.tolist()]


def cosines_with(queries: Queries, direction: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " d_sae"]:
    """Cosines of all decoder directions with a vector of length 1. Raises ArtifactMissingError."""
    found: np.ndarray = np.clip(unit_directions(queries) @ direction, -1, 1)
    return found


@dataclass(frozen=True)
class Aligned:
    """A trait as a feature sees it."""

    trait: OpenedTrait
    method: str
    site: str
    cosine: float
    auc: float


def aligned_traits(queries: Queries, feature: int) -> list[Aligned]:
    """Every trait of this model with a vector where the SAE reads, by the method whose vector is closest."""
    site, found = hook_name(queries), []
    for name in computed(queries):
        try:
            trait = opened(queries, name)
        except (ArtifactMissingError, CorruptArtifactError):
            continue
        if site not in trait.result.sites or not is_of_model(queries, trait):
            continue
        direction = unit_directions(queries)[feature]
        for method in trait.result.methods:
            cosine = float(direction @ trait.result.direction(method, site))
            auc = trait.result.summaries[method]["sites"][site]["auc"]
            found.append(Aligned(trait, method, site, cosine, auc))
    return sorted(found, key=lambda one: -abs(one.cosine))


# What only the model can say.


def responses_of(view: View, n: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Responses with a token that count, positive and negative, in the order of the examples."""
    table = view.trait.result.responses.filter(pl.col("kept") & (pl.col("token_ids").list.len() > 0))
    return tuple(table.filter(pl.col("polarity") == side).head(n).to_dicts() for side in ("pos", "neg"))  # type: ignore[return-value]


@dataclass(frozen=True)
class ShownResponse:
    """A response with the projection of each of its tokens."""

    polarity: str
    prompt: str
    str_tokens: tuple[str, ...]
    projections: Float32[np.ndarray, " n_tokens"]
    score: float | None


def shown_responses(queries: Queries, view: View) -> list[ShownResponse]:
    """Some responses of both sides in turn. Raises InferenceError where the model does not answer."""
    rows = [row for pair in zip_longest(*responses_of(view, SHOWN)) for row in pair if row is not None]
    texts = [[row["prompt_token_ids"], row["token_ids"]] for row in rows]
    told = queries.inference.ask(
        "project", texts=texts, site=view.site, direction=view.direction.astype(float).tolist()
    )
    return [
        ShownResponse(
            row["polarity"],
            row["prompt"],
            tuple(answer["str_tokens"]),
            np.asarray(answer["projections"], dtype=np.float32),
            row["score"],
        )
        for row, answer in zip(rows, told, strict=True)
    ]


def feature_differences(queries: Queries, view: View) -> tuple[Differences, list[int]]:
    """Mean activation of every feature on positive less negative responses, and those that differ most.

    Raises InferenceError where the model does not answer.
    """
    positive, negative = (_read(queries, rows) for rows in responses_of(view, MOST_TEXTS))
    found = differences(positive, negative, "mean")
    both = [*ranked(found, 1, NEAREST), *ranked(found, -1, NEAREST)]
    return found, sorted(both, key=lambda feature: -abs(found.difference[feature]))[:NEAREST]


def _read(queries: Queries, rows: list[dict[str, Any]]) -> Any:
    passages = [
        {
            "token_ids": [*row["prompt_token_ids"], *row["token_ids"]],
            "n_special": len(row["prompt_token_ids"]),
        }
        for row in rows
    ]
    return group_of_sums(queries.inference.ask("encode_many", passages=passages), queries.d_sae())


@dataclass(frozen=True)
class Steered:
    """What the model writes as it is, and with the vector added."""

    plain: tuple[str, ...]
    steered: tuple[str, ...]
    """Tokens."""


def steered(queries: Queries, view: View, given: Mapping[str, object]) -> Steered:
    """Two continuations of a text. Raises AddressError for odd input, InferenceError without an answer."""
    text = given.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > 2_000:
        raise AddressError("no text to write on from", "1 to 2,000 characters", "write one")
    strength = _number(given.get("strength"), "strength", -LONGEST_STRENGTH, LONGEST_STRENGTH)
    told = queries.inference.ask(
        "steer_along",
        text=text,
        site=view.site,
        vector=(view.direction.astype(float) * strength * view.record["separation"]).tolist(),
        n_tokens=int(_number(given.get("length"), "tokens", 1, 200)),
        temperature=_number(given.get("temperature"), "temperature", 0, 5),
        seed=int(_number(given.get("seed"), "seed", 0, 2**31 - 1)),
    )
    return Steered(tuple(told["plain"]), tuple(told["steered"]))


def _number(value: object, name: str, low: float, high: float) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else np.nan
    except ValueError:
        number = np.nan
    if isinstance(value, bool) or not low <= number <= high:
        raise AddressError(f"{name} {shortened(value)}", f"a number from {low:g} to {high:g}", "correct it")
    return number


def _shelf(queries: Queries, name: str) -> Shelf:
    experiment, _, trait = name.partition(SEPARATOR)
    return Shelf(trait_directory(queries.artifacts.subject.data_dir, experiment, trait))


def _version(shelf: Shelf) -> tuple[str, ...]:
    try:
        return tuple(shelf.version_name(stage.name) for stage in STAGES)
    except OSError:
        return ()

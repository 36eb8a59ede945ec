"""What a sweep is asked to do: `eval` (what is measured), `data` (on which texts), `machine` (how)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from precompute.errors import UsageError

DEMO = Path(__file__).parents[1] / "demo" / "autoencoder"
Strategy = Literal["random", "last", "even"]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class EvalSettings(_Group):
    """`eval`: the sweep."""

    checkpoint_path: str = str(DEMO)
    """The directory of a text autoencoder; without one, the demo's."""
    k_values: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Numbers of explanations of which the best is taken."""
    n_samples: int | None = Field(None, ge=1)
    """Explanations drawn for each activation; null is twice the largest K."""
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Temperature of the explanations; 0 takes the likeliest tokens."""
    max_val_samples: int | None = Field(1000, ge=1)
    """Examples used: windows of texts, in one seeded order; null is all."""
    max_batches: int | None = Field(None, ge=1)
    """The same limit in batches of `vector_extraction_batch_size` examples; null is none."""
    num_positions: int = Field(1, ge=1)
    """Activations taken of each example, or all that it has, if fewer."""
    min_pos: int = Field(1, ge=0)
    """The first token position that may be taken; those of special tokens never are."""
    position_selection_strategy: Strategy = "random"
    """Which positions: by a seeded order (random), the last ones (last), or evenly spaced ones (even)."""
    seed: int = 0
    """Seed of positions, samples and resamples."""
    do_bootstrap: bool = True
    """Whether intervals are computed; without, they are null."""
    n_bootstrap: int = Field(1000, ge=2)
    """Resamples of the texts."""
    load_store: bool = True
    """Whether activations and samples in the caches are used; without, they are computed anew."""
    cache_dir: str = "vector_cache"
    """Where the caches lie; relative to the data directory."""
    output_dir: str = "eval_results"
    """Where results go; relative to the data directory."""
    output_file: str = "k_sweep_results.json"
    """The results' file; what lies beside it has its name too."""
    max_generation_batch_size: int = Field(32, ge=1)
    """Explanations that are written at the same time."""
    vector_extraction_batch_size: int = Field(8, ge=1)
    """Examples that the language model reads at the same time."""

    @model_validator(mode="after")
    def _consistent(self) -> EvalSettings:
        if not self.k_values or min(self.k_values) < 1:
            raise ValueError("k_values: at least one K, each 1 or more")
        if list(self.k_values) != sorted(set(self.k_values)):
            raise ValueError("k_values: ascending, each once")
        if self.n_samples is not None and self.n_samples < max(self.k_values):
            raise ValueError(f"n_samples: at least the largest K, {max(self.k_values)}")
        if Path(self.output_file).name != self.output_file or not self.output_file.endswith(".json"):
            raise ValueError("output_file: a name that ends in .json, without a directory")
        return self

    @property
    def pool(self) -> int:
        """Explanations drawn for each activation."""
        return self.n_samples or 2 * max(self.k_values)

    @property
    def stem(self) -> str:
        """The name of the results, without its ending."""
        return self.output_file.removesuffix(".json")

    @property
    def limit(self) -> int | None:
        """Examples used at most."""
        by_batches = None
        if self.max_batches is not None:
            by_batches = self.max_batches * self.vector_extraction_batch_size
        given = [limit for limit in (self.max_val_samples, by_batches) if limit is not None]
        return min(given) if given else None


class DataSettings(_Group):
    """`data`: the texts."""

    dataset: str | None = None
    """A jsonl, csv, parquet or txt file of texts; null is the documentation on this machine."""
    text_column: str = "text"
    """The column that holds the text."""
    held_out: Mapping[str, tuple[str, ...]] | None = None
    """Metadata values of the texts that are used; null is all texts."""


class MachineSettings(_Group):
    """`machine`: what changes no result."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the models run; auto takes a GPU where there is one, each process its own."""
    data_dir: str | None = None
    """The data directory; null is LIGHTWELL_DATA, or data."""
    workers: int | None = Field(None, ge=1)
    """Processes that read the documentation on this machine, the first time; null is one for each core."""


class SweepSettings(_Group):
    """All of it."""

    eval: EvalSettings = Field(default_factory=lambda: EvalSettings.model_validate({}))
    data: DataSettings = Field(default_factory=lambda: DataSettings.model_validate({}))
    machine: MachineSettings = Field(default_factory=lambda: MachineSettings.model_validate({}))


def sweep_settings(given: Mapping[str, Any]) -> SweepSettings:
    """Validate a composed configuration; raises UsageError, with the nearest valid key for an unknown one."""
    for group, field in SweepSettings.model_fields.items():
        model: Any = field.annotation
        inside = given.get(group)
        if isinstance(inside, Mapping):
            refuse_unknown(inside, model.model_fields, f"{group}.")
    refuse_unknown(given, SweepSettings.model_fields, "", _homes())
    try:
        return SweepSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        is_named = message.startswith(("k_values", "n_samples", "output"))
        found = key if is_named else f"{key}={first.get('input')!r}"
        raise UsageError(found, message, "give another value") from None


def _homes() -> dict[str, str]:
    """Where each key belongs, for those given without their group."""
    groups: dict[str, Any] = {name: field.annotation for name, field in SweepSettings.model_fields.items()}
    return {key: f"{group}.{key}" for group, model in groups.items() for key in model.model_fields}


def refuse_unknown(
    given: Iterable[str], known: Iterable[str], prefix: str, homes: Mapping[str, str] | None = None
) -> None:
    """Raise UsageError for a key that there is not, with the nearest that there is."""
    valid = sorted(known)
    for key in map(str, given):
        if key not in valid:
            closest = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)[0]
            near = (homes or {}).get(key, prefix + closest)
            raise UsageError(
                f"unknown key {prefix}{key} (did you mean {near}?)",
                f"one of {', '.join(prefix + name for name in valid)}",
                "correct the key",
            )

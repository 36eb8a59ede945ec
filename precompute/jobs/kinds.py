"""The kinds of work of jobs. One name each, as asks and records have it: that of a model type, or
`embeddings:MODEL:SIZE`, `readings:TYPE:MODEL:SIZE`, `density:SOURCE`, `traits:EXPERIMENT:TRAIT`,
`sweep:AUTOENCODER:PRESET`.

A further kind is a line in KINDS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from precompute.config import ModelType, load_config
from precompute.corpus.subsets import SIZES
from precompute.embeddings import readings
from precompute.errors import UsageError
from precompute.jobs.density_work import DensityWork
from precompute.jobs.embedding_work import EmbeddingWork
from precompute.jobs.sweep_work import SweepWork
from precompute.jobs.trait_work import TraitWork
from precompute.jobs.works import SEPARATOR, ModelTypeWork, Work
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import READINGS, open_subject, reading_name
from precompute.sweeps.presets import presets


def _open_reading(name: str, data_dir: Path, config: Path | None) -> ModelTypeWork:
    _, model_type, texts = name.split(SEPARATOR, 2)
    return ModelTypeWork(readings.open_reading(model_type, texts, data_dir, config), readings.STEPS)


@dataclass(frozen=True)
class Kind:
    """Work that is no model type's own."""

    steps: tuple[str, ...]
    """Those that are meant where none is named."""
    open: Callable[[str, Path, Path | None], Work]
    """The work of a name of this kind."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "embeddings": Kind(EmbeddingWork.STEPS, EmbeddingWork),
        "density": Kind(DensityWork.STEPS, DensityWork),
        "traits": Kind(TraitWork.STEPS, TraitWork),
        "sweep": Kind(SweepWork.STEPS, SweepWork),
        READINGS: Kind(readings.STEPS, _open_reading),
    }
)
"""By what their names begin with."""


def steps_of(name: str) -> tuple[str, ...]:
    """The steps of a work, in the order of computation."""
    kind = name.partition(SEPARATOR)[0]
    return KINDS[kind].steps if SEPARATOR in name and kind in KINDS else tuple(steps())


def staged_names(config: Path | None, data_dir: Path | str | None = None) -> tuple[str, ...]:
    """The names of all works that are no model type; traits of the user's own are found in `data_dir`."""
    from precompute.extraction.experiment import defined_traits

    known = load_config(config)
    sets = [f"{model}:{size}" for model in known.embedding_models for size in SIZES]
    able = [name for name, model_type in known.model_types.items() if isinstance(model_type, ModelType)]
    read = (reading_name(model_type, texts) for model_type in able for texts in sets)
    embedded = (f"embeddings:{texts}" for texts in sets)
    density = (f"density:{source}" for source in known.density.sources)
    traits = defined_traits(Path(data_dir) if data_dir else None, known)
    named = (f"traits:{experiment}:{trait}" for experiment, trait in traits)
    sweeps = (f"sweep:{name}:{preset}" for name in known.autoencoders for preset in presets())
    return (*embedded, *density, *read, *named, *sweeps)


def open_work(
    name: str,
    data_dir: Path | str,
    config: Path | str | None = None,
    features: tuple[int, int] | None = None,
) -> Work:
    """The work of that name. Raises ConfigError or UsageError for one that there is not."""
    kind, separator, _ = name.partition(SEPARATOR)
    if not separator:
        return ModelTypeWork(open_subject(name, data_dir, config, features))
    if name not in staged_names(Path(config) if config else None, data_dir):
        raise UsageError(f"work {name!r}", "one that the configuration names", "correct the configuration")
    return KINDS[kind].open(name, Path(data_dir), Path(config) if config else None)

"""Where a subject's activations come from: a model run over a corpus, or a store that was imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from precompute.config import ImportedType, KnownType, ModelType

if TYPE_CHECKING:
    from precompute.pipeline.sources import Sources
    from precompute.pipeline.subjects import Subject

ORIGINS: Mapping[type[KnownType], str] = MappingProxyType(
    {
        ModelType: "precompute.pipeline.from_model:FromModel",
        ImportedType: "precompute.pipeline.from_store:FromStore",
    }
)
"""What answers for each kind of model type."""


@dataclass(frozen=True)
class Size:
    """How much a subject has to be computed from."""

    n_nonzero: float
    d_sae: int


class Origin(ABC):
    """What must be known of a kind of model type before its steps run."""

    @property
    @abstractmethod
    def places(self) -> tuple[str, ...]:
        """The directories, files and hub ids that it names."""

    @abstractmethod
    def sources(self, data_dir: Path) -> Sources:
        """The identities of what its steps read."""

    @abstractmethod
    def check_files(self) -> None:
        """Check the small files; raises UsageError for what is missing or does not fit together."""

    @abstractmethod
    def check(self, subject: Subject) -> None:
        """Check all with which a run would fail, its space on the disk included; raises UsageError."""

    @abstractmethod
    def prepare(self, subject: Subject, workers: int, say: Callable[[str], None], refresh: bool) -> None:
        """Fetch what the first step reads, after the check."""

    @abstractmethod
    def expected_size(self, subject: Subject) -> Size:
        """What the steps will have to work on; raises LightwellError where that cannot be told."""


def origin_of(model_type: KnownType) -> Origin:
    """What answers for a model type."""
    module, _, name = ORIGINS[type(model_type)].partition(":")
    origin: Origin = getattr(import_module(module), name)(model_type)
    return origin

"""The SAE formats and architectures that there are: a new one is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from precompute.errors import SAEFormatError
from precompute.models.hub import resolve_directory
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.weights import PICKLE_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor

    from precompute.models.sae.base import SAE


class SAEFormat(Protocol):
    """What the module of a file format offers."""

    NAME: str

    def detect(self, directory: Path) -> bool:
        """Whether a directory holds an SAE of this format."""
        ...

    def files(self, directory: Path) -> tuple[Path, ...]:
        """The files that make up the SAE."""
        ...

    def read_header(self, directory: Path) -> SAEHeader:
        """Read the configuration, and check that the weights' shapes fit it; without torch."""
        ...

    def read_weights(self, directory: Path, header: SAEHeader) -> dict[str, Tensor]:
        """The arrays of the SAE as float32, named and oriented as in PARAMETERS."""
        ...


FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "lightwell": "precompute.models.sae.lightwell_format",
        "saelens": "precompute.models.sae.saelens_format",
    }
)
"""The module of each format, in the order in which they are tried."""

ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "standard": "precompute.models.sae.standard:StandardSAE",
        "topk": "precompute.models.sae.topk:TopKSAE",
        "jumprelu": "precompute.models.sae.jumprelu:JumpReLUSAE",
        "gated": "precompute.models.sae.gated:GatedSAE",
    }
)
"""The class of each architecture."""

REFUSED_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "params.npz": "Gemma Scope (params.npz)",
        "ae.pt": "dictionary_learning (ae.pt)",
        "cfg.json": "sparsify, or SAELens without weights (cfg.json)",
    }
)
"""Files that tell a format which is not supported."""


def resolve_sae_directory(sae: str | Path) -> Path:
    """The directory of an SAE given as a path or a hub id; raises SAEFormatError where there is none."""
    return resolve_directory(str(sae), None, "SAE", SAEFormatError)


def sae_files(sae: str | Path) -> tuple[Path, ...]:
    """The files that make up an SAE; what a fingerprint of it covers."""
    directory = resolve_sae_directory(sae)
    return _format_of(directory).files(directory)


def read_header(sae: str | Path) -> SAEHeader:
    """What an SAE says of itself; reads no weights and imports no torch. Raises SAEFormatError."""
    directory = resolve_sae_directory(sae)
    return _format_of(directory).read_header(directory)


def load_sae(sae: str | Path, device: str = "cpu") -> SAE:
    """Load an SAE in float32; raises SAEFormatError for what cannot be read or is not supported."""
    directory = resolve_sae_directory(sae)
    file_format = _format_of(directory)
    header = file_format.read_header(directory)
    module, _, name = ARCHITECTURES[header.architecture].partition(":")
    loaded: SAE = getattr(import_module(module), name)(
        header, file_format.read_weights(directory, header), device
    )
    return loaded


def _format_of(directory: Path) -> SAEFormat:
    for module in FORMATS.values():
        file_format: SAEFormat = import_module(module)
        if file_format.detect(directory):
            return file_format
    raise SAEFormatError(
        f"{directory}: {_what_it_is(directory)}",
        "sae.json with sae.safetensors (lightwell), or cfg.json with sae_weights.safetensors (SAELens)",
        "convert the SAE, or correct `sae`",
    )


def _what_it_is(directory: Path) -> str:
    names = sorted(path.name for path in directory.iterdir())
    pickles = [name for name in names if Path(name).suffix in PICKLE_SUFFIXES]
    if pickles:
        return f"the pickle {pickles[0]}, which is not read"
    known = [kind for name, kind in REFUSED_FORMATS.items() if name in names]
    return f"an SAE of a format that is not supported: {known[0]}" if known else "no SAE"

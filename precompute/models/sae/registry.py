"""The SAE formats and architectures that there are: a new one is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from precompute.errors import SAEFormatError
from precompute.models.hub import resolve_directory
from precompute.models.sae.gemma_scope_format import WEIGHTS_FILES as GEMMA_SCOPE_FILES
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.pickles import PICKLED_FORMATS, convert_pickle, converted, pickles_of
from precompute.models.sae.published import directory_of, fetch, is_published

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
        "sparsify": "precompute.models.sae.sparsify_format",
        "gemma_scope": "precompute.models.sae.gemma_scope_format",
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

LACKING: Mapping[str, str] = MappingProxyType(
    {
        "cfg.json": "an SAE's cfg.json without its weights",
        "config.json": "a config.json without an SAE's weights",
    }
)
"""What a file says of a directory that holds no whole SAE."""


def make_readable(sae: str | Path, allow_legacy_weights: bool = False) -> None:
    """Convert a pickle that the user allows to be read, or fetch a published SAE, once and for all.

    Every later command then reads the SAE without being told anything. Raises SAEFormatError.
    """
    if is_published(str(sae)):
        fetch(str(sae), allow_legacy_weights)
    elif allow_legacy_weights:
        source = _source(sae)
        if _format_or_none(source) is None and pickles_of(source):
            convert_pickle(source)


def resolve_sae_directory(sae: str | Path) -> Path:
    """The directory of an SAE given as a path, a hub id or `sae_lens:RELEASE/ID`, or of its conversion.

    Raises SAEFormatError where there is none, and for a pickle that has not been converted.
    """
    if is_published(str(sae)):
        return directory_of(str(sae))
    source = _source(sae)
    in_safetensors = source.is_dir() and _format_or_none(source) is not None
    return source if in_safetensors or not pickles_of(source) else converted(source)


def _source(sae: str | Path) -> Path:
    """The directory, or the file where a file alone is an SAE."""
    path = Path(sae).expanduser()
    if path.is_file() and path.name in GEMMA_SCOPE_FILES:
        return path.parent
    if path.is_file() and pickles_of(path):
        return path
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


def _format_or_none(directory: Path) -> SAEFormat | None:
    for module in FORMATS.values():
        file_format: SAEFormat = import_module(module)
        if directory.is_dir() and file_format.detect(directory):
            return file_format
    return None


def _format_of(directory: Path) -> SAEFormat:
    file_format = _format_or_none(directory)
    if file_format is None:
        raise SAEFormatError(
            f"{directory}: {_what_it_is(directory)}",
            f"the files of one of {', '.join([*FORMATS, *PICKLED_FORMATS])}",
            "convert the SAE, or correct `sae`",
        )
    return file_format


def _what_it_is(directory: Path) -> str:
    return next((kind for name, kind in LACKING.items() if (directory / name).is_file()), "no SAE")

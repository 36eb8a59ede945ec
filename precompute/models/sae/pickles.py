"""SAEs in pickles: found by their files' endings, recognised by their arrays, converted once if allowed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from precompute.errors import ModelError, SAEFormatError
from precompute.models.legacy import OPTION
from precompute.models.sae.conversions import conversion_of_files, convert_once
from precompute.models.sae.header import SAEHeader, check_shapes
from precompute.models.sae.weights import PICKLE_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor

COMMAND = "python -m precompute.models.sae"


class PickledSAE(NamedTuple):
    """What a pickle holds, in this project's names and orientation."""

    header: SAEHeader
    weights: dict[str, Tensor]


class PickledFormat(Protocol):
    """What the module of a pickled format offers."""

    NAME: str

    def recognises(self, path: Path, content: Mapping[str, Any]) -> bool:
        """Whether the content of the file is an SAE of this format."""
        ...

    def read(self, path: Path, content: Mapping[str, Any]) -> PickledSAE:
        """The SAE; raises SAEFormatError for a kind that is not supported."""
        ...


PICKLED_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "dictionary_learning": "precompute.models.sae.dictionary_learning_format",
        "openai": "precompute.models.sae.openai_format",
        "splatnlp": "precompute.models.sae.splatnlp_format",
    }
)
"""The module of each pickled format, in the order in which they are tried."""


def pickles_of(source: Path) -> tuple[Path, ...]:
    """The pickle itself, or those of a directory, sorted by name."""
    if source.is_file():
        return (source,) if source.suffix in PICKLE_SUFFIXES else ()
    return tuple(path for path in sorted(source.iterdir()) if path.suffix in PICKLE_SUFFIXES)


def converted(source: Path) -> Path:
    """The directory of the conversion of a file or directory; raises SAEFormatError before there is one."""
    directory = _place(source)
    if directory.is_dir():
        return directory
    raise SAEFormatError(
        f"{source}: the pickle {pickles_of(source)[0].name}, which is not read by itself",
        f"an SAE in safetensors, or your word with {OPTION}",
        f"convert it once: {COMMAND} {source} {OPTION}",
    )


def convert_pickle(source: Path) -> Path:
    """Convert the SAE of a file or directory, tensors alone, unless that is done; where it lies.

    Raises SAEFormatError for pickles that hold no SAE that is supported.
    """
    from precompute.models.sae.lightwell_format import save

    def write(staging: Path) -> None:
        header, weights = read_pickle(source)
        save(staging, header, weights, "float32")

    return convert_once(_place(source), write)


def read_pickle(source: Path) -> PickledSAE:
    """The SAE of a file, or of the one file of a directory that holds one; raises SAEFormatError."""
    from precompute.models.legacy import read_legacy

    known: dict[Path, PickledSAE] = {}
    for path in pickles_of(source):
        try:
            content = read_legacy(path)
        except ModelError as error:
            raise SAEFormatError(error.found, error.expected, error.remedy) from None
        file_format = _format_of(path, content)
        if file_format is not None and known:
            names = f"{next(iter(known)).name} and {path.name}"
            raise SAEFormatError(f"{source}: several SAEs, such as {names}", "one", "name the file itself")
        if file_format is not None:
            known[path] = file_format.read(path, content)
    for path, found in known.items():
        shapes = {name: tuple(weight.shape) for name, weight in found.weights.items()}
        check_shapes(shapes, found.header.shapes(), path)
        return found
    raise SAEFormatError(
        f"{source}: pickles that hold no SAE of a known format",
        f"one of {', '.join(PICKLED_FORMATS)}",
        "convert the SAE to safetensors, or correct `sae`",
    )


def _format_of(path: Path, content: Any) -> PickledFormat | None:
    if not isinstance(content, Mapping):
        return None
    for module in PICKLED_FORMATS.values():
        file_format: PickledFormat = import_module(module)
        if file_format.recognises(path, content):
            return file_format
    return None


def _place(source: Path) -> Path:
    beside = (source if source.is_dir() else source.parent) / "config.json"
    return conversion_of_files([*pickles_of(source), *([beside] if beside.is_file() else [])])

"""The directory of an embedding model: base model, adapter and projection, and what it promises to hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.errors import ModelError
from precompute.models import adapter as lora
from precompute.models.hub import resolve_directory
from precompute.models.language_model import CONFIG_FILE, resolve_model_directory
from precompute.models.legacy import refuse

DESCRIPTION_FILE = "embedder.json"
ADAPTER_DIRECTORY = "lora_adapters"
PROJECTION_FILE = "projection.safetensors"
LEGACY_PROJECTION_FILE = "projection.pt"
MODULES_FILE = "modules.json"
"""Of a sentence-encoder directory: the modules behind the transformer."""

Pooling = Literal["mean", "last", "cls", "logits"]
POOLINGS: tuple[Pooling, ...] = ("mean", "last", "cls", "logits")
DEFAULT_MODEL = Path(__file__).parents[1] / "demo" / "embedder"


class Description(BaseModel):
    """`embedder.json`: what an embedding model consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str | None = None
    """Directory, relative to this one, or hub id; None is this directory, or else what the adapter names."""
    revision: str | None = None
    """Revision of a hub id."""
    adapter: bool | None = None
    """Whether `lora_adapters/` belongs to the model; None where it does if it is there."""
    projection: bool | None = None
    """Whether `projection.safetensors` belongs to the model; None where it does if it is there."""
    pooling: Pooling | None = None
    """How token states become one vector; None is mean."""


@dataclass(frozen=True)
class AddedParts:
    """What a model directory adds to its base model; each of the files exists."""

    adapter: Path | None
    """Directory of the LoRA adapter."""
    projection: Path | None
    """File of the projection; a legacy one only where that was allowed."""
    pooling: Pooling
    """The model's own."""


@dataclass(frozen=True)
class EmbedderFiles(AddedParts):
    """Where the parts of an embedding model lie; each of them exists."""

    directory: Path
    base: Path
    """Directory of the base model."""


def find_files(
    directory: str | Path, revision: str | None = None, allow_legacy_weights: bool = False
) -> EmbedderFiles:
    """The parts of a model directory (or hub id). Raises ModelError for a part that is promised and missing.

    Reads small files alone, no weight, and imports no torch.
    """
    root = resolve_directory(str(directory), revision, "embedding model", ModelError)
    parts = added_parts(root, allow_legacy_weights)
    base = _base(root, _description(root), parts.adapter)
    return EmbedderFiles(parts.adapter, parts.projection, parts.pooling, directory=root, base=base)


def added_parts(root: Path, allow_legacy_weights: bool = False) -> AddedParts:
    """Adapter, projection and pooling of a model directory, whether or not its base model can be had."""
    described = _description(root)
    return AddedParts(
        adapter=_adapter(root, described, allow_legacy_weights),
        projection=_projection(root, described, allow_legacy_weights),
        pooling=described.pooling or _sentence_pooling(root) or "mean",
    )


def _description(root: Path) -> Description:
    path = root / DESCRIPTION_FILE
    if not path.is_file():
        return Description()
    try:
        return Description.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        known = ", ".join(Description.model_fields)
        raise ModelError(
            f"{path} that cannot be read ({reason})", f"JSON with {known}", "correct it"
        ) from None


def _adapter(root: Path, described: Description, allow_legacy_weights: bool) -> Path | None:
    directory = root / ADAPTER_DIRECTORY
    there = directory.is_dir()
    if described.adapter is False or (described.adapter is None and not there):
        return None
    if not there:
        raise _missing(root, f"{ADAPTER_DIRECTORY}/", "adapter")
    pickle = directory / lora.PICKLE
    if pickle.is_file() and not (directory / lora.WEIGHTS_FILE).is_file():
        if not allow_legacy_weights:
            raise refuse(pickle, lora.WEIGHTS_FILE)
        if not (directory / lora.CONFIG_FILE).is_file():
            raise _missing(directory, lora.CONFIG_FILE, "adapter")
        return directory
    return lora.resolve_adapter_directory(str(directory.absolute()))


def _projection(root: Path, described: Description, allow_legacy_weights: bool) -> Path | None:
    if described.projection is False:
        return None
    path, legacy = root / PROJECTION_FILE, root / LEGACY_PROJECTION_FILE
    if path.is_file():
        return path
    if legacy.is_file():
        if not allow_legacy_weights:
            raise refuse(legacy, PROJECTION_FILE)
        return legacy
    if described.projection:
        raise _missing(root, PROJECTION_FILE, "projection")
    return None


def _missing(root: Path, name: str, part: str) -> ModelError:
    return ModelError(
        f"no {name} in {root}",
        f"the {part} that the directory promises",
        f"copy it there, or save the {part}",
    )


def _base(root: Path, described: Description, adapter: Path | None) -> Path:
    """The base model: as described, or this directory, or what the adapter was made for."""
    named = described.base_model
    if named is None and (root / CONFIG_FILE).is_file():
        return resolve_model_directory(str(root))
    if named is None and adapter is not None:
        named = _json(adapter / lora.CONFIG_FILE).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ModelError(
            f"no base model in {root}",
            f"{CONFIG_FILE} and weights, or {DESCRIPTION_FILE} with base_model",
            f'write {DESCRIPTION_FILE}: {{"base_model": "path or hub id"}}',
        )
    inside = root / named
    return resolve_model_directory(str(inside) if inside.is_dir() else named, described.revision)


def _sentence_pooling(root: Path) -> Pooling | None:
    """The pooling of a sentence-encoder directory; raises ModelError for modules that would be left out."""
    if not (root / MODULES_FILE).is_file():
        return None
    modules = _json(root / MODULES_FILE)
    found: Pooling | None = None
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            found = _named_pooling(root / str(module.get("path", "")) / CONFIG_FILE)
        elif kind not in ("Transformer", "Normalize"):
            raise ModelError(
                f"{root / MODULES_FILE} with the module {kind}",
                "Transformer, Pooling and Normalize",
                "use a model without it",
            )
    return found


def _named_pooling(path: Path) -> Pooling:
    config = _json(path)
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    known: Mapping[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_lasttoken": "last",
        "mean": "mean",
        "cls": "cls",
        "lasttoken": "last",
    }
    names = chosen or [str(config.get("pooling_mode", ""))]
    if len(names) != 1 or names[0] not in known:
        raise ModelError(
            f"{path} with the pooling {', '.join(names) or 'none'}",
            "mean, cls or lasttoken",
            "choose another model",
        )
    return known[names[0]]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} that cannot be read ({error})", "JSON", "copy the model again") from None

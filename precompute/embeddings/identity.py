"""What determines an encoder's vectors, by content: weights, tokenizer, adapter, projection and options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.artifacts.digests import DigestCache, file_digest, text_digest
from precompute.artifacts.manifest import canonical_json

if TYPE_CHECKING:
    from precompute.embeddings.encoder import EncoderOptions
    from precompute.embeddings.model_directory import AddedParts, EmbedderFiles

MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.*")
NOT_OF_A_MODEL = ("embedder.json", "modules.json", "README.md")
"""Files beside a model that say how its parts are put together; what they say is in the options."""


def encoder_identity(
    files: EmbedderFiles, options: EncoderOptions, cache: DigestCache | None = None
) -> dict[str, Any]:
    """The identity of an encoder as JSON; `cache` spares reading weights that have not changed."""
    return added_identity(files, options, cache) | {"base": _digest(files.base, MODEL_FILES, cache)}


def added_identity(
    files: AddedParts, options: EncoderOptions, cache: DigestCache | None = None
) -> dict[str, Any]:
    """The same without the base model: of vectors that came from elsewhere, where it may not be at hand."""
    return {
        "base": None,
        "adapter": _digest(files.adapter, ADAPTER_FILES, cache) if files.adapter else None,
        "projection": _file(files.projection, cache) if files.projection else None,
        "pooling": options.pooling or files.pooling,
        "normalize": options.normalize,
        "max_length": options.max_length,
        "dtype": options.dtype,
    }


def _digest(directory: Path, patterns: tuple[str, ...], cache: DigestCache | None) -> str:
    paths = {path for pattern in patterns for path in directory.glob(pattern) if path.is_file()}
    own = [
        path for path in sorted(paths) if path.name not in NOT_OF_A_MODEL and "projection" not in path.stem
    ]
    return text_digest(canonical_json([[path.name, _file(path, cache)] for path in own]))


def _file(path: Path, cache: DigestCache | None) -> str:
    return cache.digest(path) if cache else file_digest(path)

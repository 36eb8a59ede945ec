"""The directory of a text autoencoder: what it says of itself, and whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from precompute.artifacts.digests import DigestCache, file_digest
from precompute.errors import ModelError
from precompute.models.language_model import resolve_model_directory

CONFIG_FILE = "config.json"
FORMAT = "lightwell-text-autoencoder"
FORMAT_VERSION = 1
MODEL_FILES = ("*.safetensors", "config.json")
TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "added_tokens.json")


class StoredFile(BaseModel):
    """One file of the directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n_bytes: int
    xxh3: str
    """XXH3-128 of its bytes."""


class Header(BaseModel):
    """`config.json`: what the autoencoder is, and of which activations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["lightwell-text-autoencoder"] = "lightwell-text-autoencoder"
    format_version: Literal[1] = 1
    kind: str = "lora"
    """Which implementation reads it; see `registry`."""
    model: str
    """The language model whose activations it reads: a directory, relative to this one, or a hub id."""
    revision: str | None = None
    """Revision of a hub id."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type in which the language model runs."""
    adapter: str | None = None
    """A LoRA adapter of that model, merged before activations are read; a directory or a hub id."""
    hook_name: str
    """The capture site of the activations."""
    d_in: int = Field(ge=1)
    """Width of the activations."""
    n_tokens: int = Field(ge=1)
    """Tokens of an explanation."""
    n_ctx: int = Field(128, ge=2)
    """Tokens of the examples whose activations it was trained on, BOS included."""
    prepend_bos: bool = True
    """Whether those examples begin with BOS."""
    settings: Mapping[str, Any] = {}
    """What the implementation wants besides."""
    files: Mapping[str, StoredFile]
    """Every other file, by its path below this directory."""


@dataclass(frozen=True)
class Checkpoint:
    """A directory that is whole."""

    directory: Path
    header: Header

    @property
    def model(self) -> str:
        """The language model as a directory or a hub id that can be resolved from anywhere."""
        return _resolved(self.directory, self.header.model)

    @property
    def adapter(self) -> str | None:
        """The adapter in the same manner."""
        return None if self.header.adapter is None else _resolved(self.directory, self.header.adapter)

    def file(self, name: str) -> Path:
        """A file that the header lists; raises ModelError for another."""
        if name not in self.header.files:
            raise ModelError(
                f"{self.directory} without {name}",
                f"what kind {self.header.kind!r} is made of",
                "save the text autoencoder again",
            )
        return self.directory / name

    def activation_identity(self, cache: DigestCache) -> dict[str, Any]:
        """What determines the activations of a token sequence, by content."""
        from precompute.models.adapter import resolve_adapter_directory

        base = resolve_model_directory(self.model, self.header.revision)
        adapter = None if self.adapter is None else resolve_adapter_directory(self.adapter)
        return {
            "model": _digests(base, MODEL_FILES, cache),
            "revision": self.header.revision,
            "tokenizer": _digests(base, TOKENIZER_FILES, cache),
            "adapter": None if adapter is None else _digests(adapter, ("adapter_*",), cache),
            "dtype": self.header.dtype,
            "site": self.header.hook_name,
        }

    def identity(self, cache: DigestCache) -> dict[str, Any]:
        """What determines its explanations and reconstructions, by content."""
        header = self.header.model_dump(mode="json", exclude={"model", "adapter"})
        return {"header": header, "language_model": self.activation_identity(cache)}


def read_checkpoint(directory: Path | str) -> Checkpoint:
    """Read the header and check every file by size and checksum; raises ModelError for what is amiss."""
    path = Path(directory).expanduser()
    if not path.is_dir():
        raise ModelError(
            f"text autoencoder {path} that does not exist",
            f"a directory with {CONFIG_FILE}",
            "correct `checkpoint_path`",
        )
    checkpoint = Checkpoint(path, _header(path / CONFIG_FILE))
    for name, entry in checkpoint.header.files.items():
        _check_file(path, name, entry)
    return checkpoint


def write_header(directory: Path, header: Mapping[str, Any]) -> Checkpoint:
    """Write config.json, last, with sizes and checksums of all the other files."""
    paths = sorted(p for p in directory.rglob("*") if p.is_file() and p != directory / CONFIG_FILE)
    files = {
        path.relative_to(directory).as_posix(): StoredFile(
            n_bytes=path.stat().st_size, xxh3=file_digest(path)
        )
        for path in paths
    }
    made = Header.model_validate({**header, "files": files})
    staging = directory / f".tmp-{CONFIG_FILE}"
    staging.write_text(json.dumps(made.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    staging.replace(directory / CONFIG_FILE)
    return Checkpoint(directory, made)


def _header(path: Path) -> Header:
    expected = f"the {FORMAT} format, version {FORMAT_VERSION}"
    if not path.is_file():
        raise ModelError(f"no {CONFIG_FILE} in {path.parent}", expected, "correct `checkpoint_path`")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} that cannot be read ({error})", expected, "copy it again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ModelError(f"{path} of another format", expected, "give the directory of a text autoencoder")
    try:
        return Header.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path}: {key}: {first['msg']}", expected, "correct it, or save it again") from None


def _check_file(directory: Path, name: str, entry: StoredFile) -> None:
    path = directory / name
    remedy = "copy or save the text autoencoder again"
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ModelError(f"{directory} that lists {name}", "files below it", remedy)
    if not path.is_file():
        raise ModelError(f"{directory} without {name}", f"every file that {CONFIG_FILE} lists", remedy)
    if path.stat().st_size != entry.n_bytes:
        raise ModelError(f"{path} of {path.stat().st_size:,} bytes", f"{entry.n_bytes:,}", remedy)
    if file_digest(path) != entry.xxh3:
        raise ModelError(f"{path} that does not match its checksum", "the bytes that were saved", remedy)


def _digests(directory: Path, patterns: tuple[str, ...], cache: DigestCache) -> dict[str, str]:
    paths = sorted({path for pattern in patterns for path in directory.glob(pattern) if path.is_file()})
    return {path.name: cache.digest(path) for path in paths}


def _resolved(directory: Path, named: str) -> str:
    inside = directory / named
    return str(inside.resolve()) if inside.is_dir() else named

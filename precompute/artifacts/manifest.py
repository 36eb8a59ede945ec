"""The manifest of an artifact: what was computed, from what, and the bytes that it became."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from precompute.artifacts.digests import file_digest, text_digest
from precompute.errors import CorruptArtifactError
from precompute.npy import open_npy

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1


def canonical_json(value: Any) -> str:
    """JSON with one spelling for each value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(step: str, version: int, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of what determines a result."""
    identity = {"step": step, "version": version, "settings": dict(settings), "inputs": dict(inputs)}
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True)
    path: str
    """Relative to the artifact's directory."""
    n_bytes: int
    xxh3: str
    """XXH3-128 of its bytes."""
    n_rows: int | None = None
    """Of a table, or the first axis of an array."""
    dtypes: Mapping[str, str] | None = None
    """Type of each column, or of the array under the name "values"."""


class InputEntry(BaseModel):
    """What one input was when it was read."""

    model_config = ConfigDict(frozen=True)
    fingerprint: str
    digest: str
    """Content digest: an input whose bytes differ makes this artifact stale."""


class Manifest(BaseModel):
    """All that is known of an artifact; holds no time, host or path of a machine."""

    model_config = ConfigDict(frozen=True)
    format_version: int = FORMAT_VERSION
    step: str
    version: int
    fingerprint: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, InputEntry]
    sources: Mapping[str, Any]
    files: tuple[FileEntry, ...]
    not_applicable: str | None = None
    """Why the step has no meaning for its subject; such an artifact has no files."""

    @cached_property
    def digest(self) -> str:
        """Content digest of the whole artifact."""
        return text_digest(canonical_json([(f.path, f.n_bytes, f.xxh3) for f in self.files]))

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(file.n_bytes for file in self.files)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest with a checksum of itself."""
    (directory / MANIFEST_FILE).write_text(_written(manifest), encoding="utf-8")


def _written(manifest: Manifest) -> str:
    """The one text that a manifest has on disk."""
    body = manifest.model_dump(mode="json")
    body["checksum"] = text_digest(canonical_json(body))
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_manifest(directory: Path) -> Manifest:
    """Read and check a manifest; raises FileNotFoundError if absent, CorruptArtifactError if damaged."""
    try:
        manifest, is_whole = _understood((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise CorruptArtifactError(f"{directory.name}/{MANIFEST_FILE} is damaged") from error
    if not is_whole:
        raise CorruptArtifactError(f"{directory.name}/{MANIFEST_FILE} does not match its checksum")
    return manifest


@lru_cache(maxsize=128)
def _understood(text: str) -> tuple[Manifest, bool]:
    """What a manifest's text says, and whether it is as it was written.

    Judging one step asks for the manifests of all its inputs, and checking a text takes most of that time.
    """
    body = json.loads(text)
    checksum = body.pop("checksum")
    manifest = Manifest.model_validate(body)
    return manifest, text_digest(canonical_json(body)) == checksum and text == _written(manifest)


def describe_files(directory: Path) -> tuple[FileEntry, ...]:
    """Every file below a directory, in the order of their paths, with size, checksum and content."""
    paths = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != MANIFEST_FILE)
    return tuple(_describe(directory, path) for path in paths)


def _describe(directory: Path, path: Path) -> FileEntry:
    n_rows, dtypes = _contents(path)
    return FileEntry(
        path=path.relative_to(directory).as_posix(),
        n_bytes=path.stat().st_size,
        xxh3=file_digest(path),
        n_rows=n_rows,
        dtypes=dtypes,
    )


def _contents(path: Path) -> tuple[int | None, dict[str, str] | None]:
    if path.suffix == ".parquet":
        import polars as pl

        scan = pl.scan_parquet(path)
        n_rows = int(scan.select(pl.len()).collect().item())
        return n_rows, {name: str(dtype) for name, dtype in scan.collect_schema().items()}
    if path.suffix == ".npy":
        array = open_npy(path)
        return len(array), {"values": str(array.dtype)}
    return None, None

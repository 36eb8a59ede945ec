"""Shards of a cache as files: arrays in safetensors, with a record that vouches for them.

Each is written beside and renamed, the record last: what has no record that fits it is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from precompute.artifacts.digests import file_digest, text_digest
from precompute.artifacts.manifest import canonical_json, fingerprint
from precompute.durable import settle

IDENTITY_FILE = "identity.json"
SHORT = 16
"""Characters of a fingerprint in a directory's name."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shard:
    """A shard that is whole; its arrays are read when they are asked for, through a mapping of the file."""

    path: Path
    facts: Mapping[str, Any]
    """What was noted of it."""

    def array(self, name: str, n: int | None = None) -> Array:
        """An array, or its first n entries."""
        from safetensors import safe_open

        with safe_open(self.path, framework="np") as file:
            part = file.get_slice(name)
            found: Array = part[:] if n is None else part[:n]
        return found


class ShardFiles:
    """The shards of one content, under a directory that is named by what determines it."""

    def __init__(self, root: Path, kind: str, version: int, identity: Mapping[str, Any]) -> None:
        self.identity = identity
        self.fingerprint = fingerprint(kind, version, {}, identity)
        self.directory = root / kind / self.fingerprint[:SHORT]

    def open(self, number: int) -> Shard | None:
        """A shard, or None where there is none that is whole."""
        path = self._path(number)
        try:
            record = json.loads(self._record(number).read_text(encoding="utf-8"))
            checksum = record.pop("checksum")
            whole = (
                checksum == text_digest(canonical_json(record))
                and path.stat().st_size == record["n_bytes"]
                and file_digest(path) == record["xxh3"]
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Shard(path, record["facts"]) if whole else None

    def is_damaged(self, number: int) -> bool:
        """Whether there is something of a shard, but not the whole."""
        return (self._path(number).exists() or self._record(number).exists()) and self.open(number) is None

    def write(self, number: int, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> Shard:
        """Put a shard in the place of what there is."""
        from safetensors.numpy import save_file

        self._begin()
        path = self._path(number)
        staging = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, staging)
        record: dict[str, Any] = {
            "facts": dict(facts), "n_bytes": staging.stat().st_size, "xxh3": file_digest(staging),
        }  # fmt: skip
        record["checksum"] = text_digest(canonical_json(record))
        settle(staging, path)
        _write_text(self._record(number), json.dumps(record))
        return Shard(path, facts)

    def _begin(self) -> None:
        """Say beside the shards what they are of: for people, since the directory's name is a hash."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / IDENTITY_FILE
        if not path.exists():
            _write_text(path, json.dumps(self.identity, indent=1, sort_keys=True) + "\n")

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08d}.safetensors"

    def _record(self, number: int) -> Path:
        return self.directory / f"{number:08d}.json"


def _write_text(path: Path, text: str) -> None:
    staging = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    staging.write_text(text, encoding="utf-8")
    settle(staging, path)

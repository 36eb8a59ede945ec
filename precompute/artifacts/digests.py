"""Content digests of files, remembered for as long as a file is untouched."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import xxhash

BLOCK = 1 << 22


def file_digest(path: Path) -> str:
    """XXH3-128 of a file's bytes, in hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """XXH3-128 of a text's UTF-8 bytes, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def bytes_digest(content: bytes | memoryview) -> str:
    """XXH3-128 of bytes in memory, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(content)


class DigestCache:
    """Digests by path, size, modification time and inode, so that large weights are read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = self._load()

    def _load(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}  # only a cache: it is rebuilt
        return known

    def digest(self, path: Path) -> str:
        """The digest of a file, read only if the file changed since it was last asked for."""
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
        return self.remembered(key, lambda: file_digest(path))

    def remembered(self, key: str, compute: Callable[[], str]) -> str:
        """The digest kept under a key that names all it depends on; computed where there is none."""
        if key not in self._known:
            self._known[key] = compute()
            self._save()
        return self._known[key]

    def _save(self) -> None:
        """Keep what is known, where the directory allows it; another process may win the race."""
        if not os.access(self.path.parent, os.W_OK):
            return
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".tmp-digests-")
        with os.fdopen(handle, "w") as file:
            json.dump(self._known, file)
        Path(name).replace(self.path)

"""The built-in corpus as it was when it was first taken: one file that later runs read."""

from __future__ import annotations

from pathlib import Path

from precompute.artifacts.locks import ArtifactLock
from precompute.durable import settle

DIRECTORY = "corpus_builtin"
FILE = "corpus.parquet"


def snapshot_file(data_dir: Path) -> Path:
    """Where the snapshot of the built-in corpus lies."""
    return data_dir / DIRECTORY / FILE


def take_snapshot(data_dir: Path, workers: int, refresh: bool = False) -> Path:
    """Read the documentation on this machine into the snapshot, unless there is one already.

    A later installation of a package changes nothing until `refresh` asks for it.
    """
    from precompute.corpus.builtin import read_builtin_corpus

    path = snapshot_file(data_dir)
    with ArtifactLock(path.parent, "snapshot"):
        if refresh or not path.is_file():
            staging = path.with_name(f".tmp-{FILE}")
            read_builtin_corpus(workers).drop("text_id").write_parquet(staging, compression="zstd")
            settle(staging, path)
    return path

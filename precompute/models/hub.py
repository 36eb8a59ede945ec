"""Where the files of a model, adapter or SAE lie: a local directory, or a snapshot of a hub repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from precompute.errors import UsageError

Repository = Literal["model", "dataset"]
DOWNLOADED: Mapping[Repository, tuple[str, ...]] = MappingProxyType(
    {
        "model": ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"),
        "dataset": ("*.jsonl", "*.jsonl.gz", "*.parquet", "*.csv"),
    }
)
"""What is fetched from a hub repository: never a pickle, never code."""


def resolve_directory(
    source: str, revision: str | None, noun: str, error: type[UsageError], kind: Repository = "model"
) -> Path:
    """The directory that `source`, a path or a hub id, stands for; downloads what is not there yet.

    Raises `error` in one line where there is no such directory, or the hub cannot be reached.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise error(
            f"{noun} {source} that is a file", "a directory or a hub id", f"give the directory {path.parent}"
        )
    if _is_path(source):
        raise error(
            f"{noun} {source} that does not exist",
            "a directory or a hub id",
            f"correct the path of the {noun}",
        )
    return _download(source, revision, noun, error, kind)


def _is_path(source: str) -> bool:
    """Whether the text can only be a path: a hub id is `name` or `owner/name`."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source


def _download(
    source: str, revision: str | None, noun: str, error: type[UsageError], kind: Repository
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = list(DOWNLOADED[kind])
        return Path(snapshot_download(source, revision=revision, repo_type=kind, allow_patterns=patterns))
    except HFValidationError:
        raise error(f"{noun} {source!r}", "a directory or a hub id", f"correct the {noun}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as failure:
        at = f" at revision {revision}" if revision else ""
        raise error(
            f"{noun} {source}{at}, which is no directory here and cannot be had from the hub "
            f"({type(failure).__name__})",
            "a local directory, or a hub id that can be reached",
            "check the name, the network, and HF_TOKEN for a gated repository",
        ) from None

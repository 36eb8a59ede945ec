"""The demo's embedder as a model directory of the user's own, complete in itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from precompute.embeddings.model_directory import (
    ADAPTER_DIRECTORY,
    DEFAULT_MODEL,
    DESCRIPTION_FILE,
    PROJECTION_FILE,
    find_files,
)
from precompute.errors import UsageError

BASE = "language_model"


def write(directory: Path) -> None:
    """Copy base model, adapter and projection there; raises UsageError where something is already."""
    if directory.exists() and any(directory.iterdir()):
        raise UsageError(f"{directory}, which is not empty", "a new directory", "choose another")
    files = find_files(DEFAULT_MODEL)
    assert files.adapter is not None
    assert files.projection is not None
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copytree(files.base, directory / BASE)
    shutil.copytree(files.adapter, directory / ADAPTER_DIRECTORY)
    shutil.copyfile(files.projection, directory / PROJECTION_FILE)
    described = json.loads((DEFAULT_MODEL / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    text = json.dumps({**described, "base_model": BASE}, indent=2)
    (directory / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")

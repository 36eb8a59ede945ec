"""Where the corpus of a model type lies: the user's file, or a snapshot in the data directory."""

from __future__ import annotations

import json
from pathlib import Path

from precompute.artifacts.digests import text_digest
from precompute.config import CorpusConfig
from precompute.corpus.snapshot import FILE, snapshot_file

DATASETS = "corpus_datasets"
"""Below the data directory: the snapshots of Hugging Face datasets."""


def is_snapshot(corpus: CorpusConfig) -> bool:
    """Whether the corpus is taken from elsewhere once, and then read from a file of its own."""
    return corpus.builtin or corpus.dataset is not None


def corpus_file(corpus: CorpusConfig, data_dir: Path) -> Path:
    """The file that holds the corpus, or will."""
    if corpus.builtin:
        return snapshot_file(data_dir)
    if corpus.dataset is None:
        return Path(corpus.path or "")
    asked = [
        corpus.dataset,
        corpus.dataset_name,
        corpus.dataset_split,
        corpus.dataset_revision,
        corpus.max_texts,
    ]
    return data_dir / DATASETS / text_digest(json.dumps(asked)) / FILE

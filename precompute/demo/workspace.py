"""The working directory of a training run: what each stage leaves for the next."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from precompute.corpus.builtin import read_builtin_corpus
from precompute.demo.heldout import split_corpus
from precompute.demo.token_rows import Ids
from precompute.demo.tokenizer import encode_texts, train_tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workspace:
    """Paths under the output directory."""

    root: Path
    """The directory given by `--out`."""

    @property
    def language_model(self) -> Path:
        """The Hugging Face directory of the model and its tokenizer."""
        return self.root / "language_model"

    def sae(self, name: str) -> Path:
        """The directory of the SAE called `name` (full, ultra)."""
        return self.root / f"sae_{name}"

    def checkpoint(self, name: str) -> Path:
        """The checkpoint file of a stage."""
        return self.root / "checkpoints" / f"{name}.safetensors"

    @property
    def activations(self) -> Path:
        """The activations that the SAEs are trained on."""
        return self.root / "activations.npy"

    def texts(self, part: str) -> Path:
        """The snapshot of one part of the corpus (train, held_out)."""
        return self.root / f"{part}.parquet"

    @property
    def report(self) -> Path:
        """The measured figures."""
        return self.root / "report.json"

    def prepare_texts(self, workers: int) -> None:
        """Take the corpus and split it, once."""
        self.checkpoint("any").parent.mkdir(parents=True, exist_ok=True)
        if self.texts("held_out").exists():
            return
        split = split_corpus(read_builtin_corpus(workers))
        split.train.write_parquet(self.texts("train"))
        split.held_out.write_parquet(self.texts("held_out"))
        for part, table in (("train", split.train), ("held-out", split.held_out)):
            n_characters = int(table["text"].str.len_chars().sum())
            log.info("%s: %d texts, %d characters", part, len(table), n_characters)

    def prepare_tokenizer(self) -> None:
        """Train the tokenizer on the training texts, once."""
        if not (self.language_model / "tokenizer.json").exists():
            train_tokenizer(pl.read_parquet(self.texts("train"))["text"], self.language_model)

    def documents(self, part: str) -> list[Ids]:
        """Return the token ids of each text of a part, in corpus order."""
        documents = encode_texts(self.language_model, pl.read_parquet(self.texts(part))["text"].to_list())
        log.info("%s: %d tokens", part, int(np.sum([len(document) for document in documents])))
        return documents

"""Activations of a model that is run over a corpus: what a run needs, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from precompute.config import ModelType
from precompute.corpus.hub_dataset import take_dataset
from precompute.corpus.location import corpus_file, is_snapshot
from precompute.corpus.snapshot import take_snapshot
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.registry import read_header
from precompute.pipeline.origin import Origin, Size
from precompute.pipeline.preflight import (
    TABLE_BYTES_PER_FEATURE,
    check_corpus,
    check_features,
    check_model_and_sae,
    check_site,
    check_subject_space,
    check_writable,
)
from precompute.pipeline.sources import ModelSources
from precompute.pipeline.subjects import Subject

BUILTIN_EXAMPLES = 80_000
"""About what the built-in corpus gives, where no limit is set."""
ACTIVE_PER_ROW = 64
"""Active features a row, assumed where the SAE does not say."""
BYTES_PER_ACTIVATION = 2 * (4 + 4)
"""Feature or row number and value, in row-major and feature-major order."""


@dataclass(frozen=True)
class FromModel(Origin):
    """A language model, its SAE, and a corpus."""

    model_type: ModelType

    @property
    def places(self) -> tuple[str, ...]:
        """Of the model, its adapter and the SAE."""
        named = (self.model_type.model, self.model_type.sae, self.model_type.adapter)
        return tuple(place for place in named if place)

    def sources(self, data_dir: Path) -> ModelSources:
        """Model, tokenizer, SAE and corpus."""
        return ModelSources(self.model_type, data_dir)

    def check_files(self) -> None:
        """Whether model and SAE fit, and the corpus is there; what it holds is for a run to read."""
        check_model_and_sae(self.model_type)
        corpus = self.model_type.corpus
        if corpus.path is not None and not Path(corpus.path).is_file():
            check_corpus(self.model_type, Path())

    def check(self, subject: Subject) -> None:
        """Model, SAE, corpus, data directory, space, and a capture site that only some models have."""
        header = check_model_and_sae(self.model_type)
        check_features(subject, header.d_sae)
        check_corpus(self.model_type, subject.data_dir)
        check_writable(subject.directory)
        remedy = "free some space, choose another --data-dir, or set corpus.max_examples"
        check_subject_space(subject, self._bytes(subject, header), remedy)
        check_site(subject, self.model_type)

    def prepare(self, subject: Subject, workers: int, say: Callable[[str], None], refresh: bool) -> None:
        """Take the snapshot of the built-in corpus, or of a dataset."""
        corpus = self.model_type.corpus
        path = corpus_file(corpus, subject.data_dir)
        if not is_snapshot(corpus) or (path.is_file() and not refresh):
            return
        if corpus.builtin:
            say("reading the documentation on this machine (the built-in corpus)")
            take_snapshot(subject.data_dir, workers, refresh)
        else:
            say(f"streaming the dataset {corpus.dataset}")
            take_dataset(corpus, path, refresh)
            check_corpus(self.model_type, subject.data_dir)

    def expected_size(self, subject: Subject) -> Size:
        """By the size of the corpus and the SAE."""
        header = read_header(self.model_type.sae)
        n_rows = self._n_examples(subject) * self.model_type.corpus.n_ctx
        return Size(n_rows * (header.k or ACTIVE_PER_ROW), header.d_sae)

    def _bytes(self, subject: Subject, header: SAEHeader) -> int:
        """About how many bytes the artifacts take."""
        n_examples = self._n_examples(subject)
        n_rows = n_examples * self.model_type.corpus.n_ctx
        per_row = BYTES_PER_ACTIVATION * (header.k or ACTIVE_PER_ROW) + 16
        return n_rows * per_row + n_examples * header.d_in * 4 + header.d_sae * TABLE_BYTES_PER_FEATURE

    def _n_examples(self, subject: Subject) -> int:
        """Examples that the corpus gives at most, judged by its size: four bytes a token at least."""
        corpus = self.model_type.corpus
        if corpus.max_examples:
            return corpus.max_examples
        path = corpus_file(corpus, subject.data_dir)
        if not path.is_file():
            return BUILTIN_EXAMPLES
        return max(1, path.stat().st_size // (4 * corpus.n_ctx) * 2)

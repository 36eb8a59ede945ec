"""What a subject reads from outside: the identity of its model, SAE and corpus, by their content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from precompute.artifacts.digests import DigestCache, text_digest
from precompute.artifacts.manifest import canonical_json
from precompute.config import ModelType
from precompute.corpus.location import corpus_file
from precompute.models.preflight import Checked, check_model_type
from precompute.models.sae.registry import sae_files
from precompute.pipeline.step import Source

WEIGHT_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.npz", "*.jinja")
"""What a model or SAE directory is made of; other files in it (a README) change nothing."""

ORIGIN = {
    *("path", "builtin", "dataset", "dataset_name", "dataset_split", "dataset_revision", "max_texts"),
    "prepend_bos",
}
"""Settings of a corpus that its content says already, and one that is looked up."""
OF_TOKENS = ("tokens_column", "token_sets")
"""Settings of a corpus that mean something only where texts are lists of tokens."""

NOT_OF_A_TOKENIZER = ("*.safetensors", "*.safetensors.index.json", "generation_config.json")
"""Files of a model that its tokenizer does not read; it does read config.json, for its kind."""


class Sources(ABC):
    """The identities of what a subject reads from outside; each is worked out once, when first asked for."""

    def __init__(self, data_dir: Path) -> None:
        self._cache = DigestCache(data_dir / ".digests.json")

    def identity(self, source: Source) -> Mapping[str, Any]:
        """What determines this source's part in a result, as JSON."""
        found: Mapping[str, Any] = getattr(self, source)
        return found

    @property
    @abstractmethod
    def sae_digest(self) -> str:
        """What the features are known by: labels belong to it."""

    def _digest(self, files: Iterable[Path]) -> str:
        named = [[path.name, self._cache.digest(path)] for path in sorted(files)]
        return text_digest(canonical_json(named))


class ModelSources(Sources):
    """Those of a model type that runs a model over a corpus."""

    def __init__(self, model_type: ModelType, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.model_type, self.data_dir = model_type, data_dir

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """Weights, tokenizer, adapter and dtype."""
        checked = self._checked
        adapter = checked.adapter_directory
        return {
            "digest": self._directory(checked.model_directory),
            "adapter": self._directory(adapter) if adapter else None,
            "dtype": self.model_type.dtype,
        }

    @cached_property
    def tokenizer(self) -> Mapping[str, Any]:
        """What turns texts into token ids: the model's files beside its weights, whatever the adapter."""
        return {"digest": self._digest(tokenizer_files(self._checked.model_directory))}

    @cached_property
    def sae(self) -> Mapping[str, Any]:
        """Weights, configuration, and where it is attached."""
        return {
            "digest": self._digest(self._checked.sae_files),
            "hook_name": self._checked.hook_name,
            "acts_dtype": self.model_type.acts_dtype,
        }

    @cached_property
    def sae_digest(self) -> str:
        """The SAE alone, by its files' content: wherever it is attached, its features are the same ones."""
        return self._digest(sae_files(self.model_type.sae))

    @cached_property
    def corpus(self) -> Mapping[str, Any]:
        """Texts, and how they are cut; a snapshot that has not been taken yet has the digest None."""
        corpus = self.model_type.corpus
        path = corpus_file(corpus, self.data_dir)
        digest = self._cache.digest(path) if path.is_file() else None
        settings = corpus.model_dump(mode="json", exclude=ORIGIN)
        if corpus.tokens_column is None:
            settings = {name: value for name, value in settings.items() if name not in OF_TOKENS}
        return {**settings, "digest": digest, "prepend_bos": self.prepend_bos}

    @cached_property
    def _checked(self) -> Checked:
        return check_model_type(self.model_type)

    @property
    def prepend_bos(self) -> bool:
        """Whether examples begin with BOS: as the configuration says, or else the SAE's own."""
        chosen = self.model_type.corpus.prepend_bos
        return self._checked.header.prepend_bos if chosen is None else chosen

    def _directory(self, directory: Path) -> str:
        return model_digest(directory, self._cache)


def tokenizer_files(directory: Path) -> set[Path]:
    """What a tokenizer in a directory is made of, whether or not a model's weights lie beside it."""
    return set(_matching(directory, WEIGHT_FILES)) - set(_matching(directory, NOT_OF_A_TOKENIZER))


def model_digest(directory: Path, cache: DigestCache) -> str:
    """Weights, configuration and tokenizer in a directory, by content."""
    paths = sorted(set(_matching(directory, WEIGHT_FILES)))
    return text_digest(canonical_json([[path.name, cache.digest(path)] for path in paths]))


def _matching(directory: Path, patterns: Iterable[str]) -> Iterable[Path]:
    return (path for pattern in patterns for path in directory.glob(pattern) if path.is_file())

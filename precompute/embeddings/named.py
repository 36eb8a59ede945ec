"""The embedding sets that a configuration and a data directory know by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from precompute.config import EmbeddingModel, load_config
from precompute.corpus.snapshot import snapshot_file
from precompute.corpus.subsets import SIZES
from precompute.embeddings.embedding_set import SETTINGS_FILE, STEP, EmbeddingSet, SetSettings
from precompute.embeddings.freshness import STEPS, Freshness
from precompute.pipeline.plan import StepStatus


@dataclass(frozen=True)
class SetName:
    """An embedding set by the name of its model."""

    model: str
    """A name of `[embedding_models]`."""
    size: str

    def __str__(self) -> str:
        return f"{self.model}/{self.size}"


class NamedSets:
    """Embedding sets by name, published or not. Looking computes nothing."""

    def __init__(self, data_dir: Path, config: Path | str | None = None) -> None:
        self._data_dir, self._config = data_dir, None if config is None else Path(config)

    @property
    def config(self) -> Path | None:
        """The configuration file of the user's own, where there is one."""
        return self._config

    @cached_property
    def models(self) -> Mapping[str, EmbeddingModel]:
        """The embedding models by their names."""
        return load_config(self._config).embedding_models

    def embedding_set(self, name: SetName) -> EmbeddingSet:
        """The set of the data directory, or else, where only that is there, the one beside its model."""
        model = self.models[name.model].model
        own, beside = (EmbeddingSet(model, name.size, place) for place in (self._data_dir, None))
        return beside if not is_there(own) and is_there(beside) else own

    def settings(self, name: SetName) -> SetSettings:
        """How it was last asked for; where it never was, as the configuration has it."""
        embedded, model = self.embedding_set(name), self.models[name.model]
        if (embedded.directory / SETTINGS_FILE).exists():
            return embedded.settings
        return SetSettings(dataset=model.dataset, text_column=model.text_column)

    def sizes_there(self, model: str) -> list[str]:
        """The sizes that are embedded, the smallest first."""
        return [size for size in SIZES if is_there(self.embedding_set(SetName(model, size)))]

    def statuses(self, name: SetName) -> tuple[StepStatus, ...]:
        """The states of embeddings, neighbour graph and map; the first look at a dataset reads it."""
        embedded, settings = self.embedding_set(name), self.settings(name)
        if settings.dataset is None and not snapshot_file(embedded.data_dir).exists():
            # To judge by it, it would be taken: minutes of reading.
            state, reason = "stale", "the snapshot of the documentation that its texts come from is not there"
            if not is_there(embedded):
                state, reason = "missing", "not computed yet"
            return tuple(
                StepStatus(step, words, state, reason, 0, None, None)  # type: ignore[arg-type]
                for step, words in STEPS.items()
            )
        return Freshness(embedded, settings).statuses()


def is_there(embedded: EmbeddingSet) -> bool:
    """Whether a set is published."""
    return embedded.shelf.pointer(STEP).is_symlink()

"""Readings: what a model type's SAE does on the texts of an embedding set, by the steps of the model type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from precompute.config import NAME_PATTERN, CorpusConfig, ModelType, with_model
from precompute.corpus.subsets import SIZES
from precompute.embeddings.embedding_set import METADATA, STEP
from precompute.embeddings.named import NamedSets, SetName
from precompute.errors import NotApplicableError, UsageError
from precompute.pipeline.subjects import Subject, on_texts, open_subject

STEPS = ("corpus", "activations", "transpose", "example_features")
"""What is computed where nothing else is asked for; any other step can be, too."""
OWN_SETTINGS: Mapping[str, Any] = {"quality_max_rows": 1}
"""An SAE's quality is measured on the model type's own corpus, so no text is cut for it here."""


def open_reading(
    model_type: str,
    texts: str,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Subject:
    """The subject whose corpus is the texts of the embedding set `MODEL:SIZE`; creates nothing.

    `overrides` are settings that take the place of others. Raises ConfigError for an unknown model type,
    UsageError for an unknown set, ArtifactMissingError for one that is not embedded.
    """
    subject = open_subject(model_type, data_dir, config)
    sets = NamedSets(subject.data_dir, config)
    name = set_name(texts, sets)
    sets.embedding_set(name).manifest()
    return reading_of(subject, sets, name, overrides)


def set_name(texts: str, sets: NamedSets) -> SetName:
    """The embedding set that `MODEL:SIZE` names. Raises UsageError for one that there is not."""
    found = re.fullmatch(rf"({NAME_PATTERN}):({'|'.join(SIZES)})", texts)
    if found is None or found[1] not in sets.models:
        known, sizes = ", ".join(sets.models), ", ".join(SIZES)
        expected = f"MODEL:SIZE, with a model of {known} and a size of {sizes}"
        raise UsageError(f"embedding set {texts!r}", expected, "correct the name")
    return SetName(found[1], found[2])


def reading_of(
    subject: Subject, sets: NamedSets, name: SetName, overrides: Mapping[str, Any] | None = None
) -> Subject:
    """The model type of a subject on the texts of a set, cut as those of its own corpus are."""
    own = _able_to_read(subject).corpus
    path = sets.embedding_set(name).shelf.pointer(STEP) / METADATA
    corpus = CorpusConfig(path=str(path), n_ctx=own.n_ctx, max_examples=None, prepend_bos=own.prepend_bos)
    return on_texts(subject, corpus, texts_of(name), {**OWN_SETTINGS, **(overrides or {})})


def _able_to_read(subject: Subject) -> ModelType:
    """The model type of a subject; raises UsageError for one that has no model to read texts with."""
    try:
        return with_model(subject.model_type)
    except NotApplicableError as reason:
        name = subject.model_type.name
        raise UsageError(f"the model type {name} ({reason})", "one with a model", "name another") from None


def texts_of(name: SetName) -> str:
    """An embedding set as the names of readings have it."""
    return f"{name.model}:{name.size}"

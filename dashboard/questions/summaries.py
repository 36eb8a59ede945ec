"""The corpus and the SAE as a whole, in a few numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dashboard.queries import CORPUS_COLUMNS, Queries
from dashboard.records import CorpusSummary
from precompute.config import ImportedType, KnownType, ModelType
from precompute.errors import LightwellError


def hook_name(queries: Queries) -> str | None:
    """Where activations are read: as configured, or as the published activations say."""
    chosen = queries.model_type
    if isinstance(chosen, ModelType) and chosen.hook_name:
        return chosen.hook_name
    try:
        manifest = queries.artifacts.subject.shelf.manifest("activations")
    except (LightwellError, OSError):
        return None
    return dict(manifest.sources.get("sae", {})).get("hook_name") if manifest else None


def _source(chosen: KnownType) -> str:
    """Where the texts come from."""
    if isinstance(chosen, ImportedType):
        return f"the examples of {'/'.join(Path(chosen.store).parts[-2:])}"
    corpus = chosen.corpus
    return "documentation on this machine" if corpus.builtin else str(corpus.dataset or corpus.path)


def quality(queries: Queries) -> dict[str, Any]:
    """The record of `sae_quality.json`."""
    return queries.tables.reading("sae_quality", lambda: queries.artifacts.record("sae_quality"))


def corpus(queries: Queries) -> CorpusSummary:
    """Size and origin of the corpus."""

    def read() -> CorpusSummary:
        record = queries.artifacts.record("corpus")
        names = queries.artifacts.scan("corpus").collect_schema().names()
        return CorpusSummary(
            source=_source(queries.model_type),
            n_texts=record["n_texts"],
            n_texts_in_corpus=record["n_texts_in_corpus"],
            n_examples=record["n_examples"],
            n_held_out_examples=record["n_held_out_examples"],
            n_held_out_rows=record["n_held_out_rows"],
            n_ctx=record["n_ctx"],
            held_out=bool(record["held_out"]),
            prepend_bos=bool(record["prepend_bos"]),
            pooled=bool(record.get("pooled", False)),
            metadata_columns=tuple(name for name in names if name not in CORPUS_COLUMNS),
        )

    return queries.tables.derived("corpus", "corpus", read)

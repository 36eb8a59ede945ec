"""The corpus and the SAE as a whole, in a few numbers."""

from __future__ import annotations

from typing import Any

from dashboard.queries import CORPUS_COLUMNS, Queries
from dashboard.records import CorpusSummary
from precompute.errors import LightwellError


def hook_name(queries: Queries) -> str | None:
    """Where activations are read: as configured, or as the published activations say."""
    if queries.model_type.hook_name:
        return queries.model_type.hook_name
    try:
        manifest = queries.artifacts.subject.shelf.manifest("activations")
    except (LightwellError, OSError):
        return None
    return dict(manifest.sources.get("sae", {})).get("hook_name") if manifest else None


def quality(queries: Queries) -> dict[str, Any]:
    """The record of `sae_quality.json`."""
    return queries.tables.reading("sae_quality", lambda: queries.artifacts.record("sae_quality"))


def corpus(queries: Queries) -> CorpusSummary:
    """Size and origin of the corpus."""

    def read() -> CorpusSummary:
        record, chosen = queries.artifacts.record("corpus"), queries.model_type.corpus
        names = queries.artifacts.scan("corpus").collect_schema().names()
        return CorpusSummary(
            source="documentation on this machine" if chosen.builtin else str(chosen.path),
            n_texts=record["n_texts"],
            n_texts_in_corpus=record["n_texts_in_corpus"],
            n_examples=record["n_examples"],
            n_held_out_examples=record["n_held_out_examples"],
            n_held_out_rows=record["n_held_out_rows"],
            n_ctx=record["n_ctx"],
            held_out=bool(record["held_out"]),
            prepend_bos=bool(record["prepend_bos"]),
            metadata_columns=tuple(name for name in names if name not in CORPUS_COLUMNS),
        )

    return queries.tables.derived("corpus", "corpus", read)

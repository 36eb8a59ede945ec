"""What artifacts were computed from: the digests of model, SAE and corpus, as manifests have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.queries import Queries
from dashboard.tables import optional


def source_digest(queries: Queries, step: str, source: str) -> str | None:
    """The digest of one thing that a step's artifact was computed from; None where that is not known."""

    def read() -> Mapping[str, Any]:
        manifest = queries.artifacts.subject.shelf.manifest(step)
        return dict(manifest.sources) if manifest else {}

    sources = optional(lambda: queries.tables.derived(f"sources of {step}", step, read)) or {}
    digest = dict(sources.get(source, {})).get("digest")
    return None if digest is None else str(digest)

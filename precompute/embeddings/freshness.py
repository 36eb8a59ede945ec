"""Whether a set's embeddings, neighbour graph and map are those of its model and texts now, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from precompute.artifacts.digests import DigestCache
from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import InputEntry, Manifest, fingerprint
from precompute.embeddings.embedding_set import STEP, EmbeddingSet, SetSettings
from precompute.embeddings.identity import added_identity, encoder_identity
from precompute.embeddings.model_directory import added_parts
from precompute.errors import CorruptArtifactError, UsageError
from precompute.pipeline.plan import State, StepStatus

VERSION = 1
"""Of the embeddings; raised whenever a text's vector changes."""
STEPS: Mapping[str, str] = {
    STEP: "The vectors of a dataset's texts, in their order.",
    "neighbors": "The nearest vectors to each vector, by cosine.",
    "map": "A 2-D map of the vectors, its clusters, and the words that each is about.",
}
"""The artifacts of an embedding set, each with what it is; each reads those before it."""


class Freshness:
    """The expected identities of a set's artifacts; looks at the disk anew at every question."""

    def __init__(self, embedded: EmbeddingSet, settings: SetSettings | None = None) -> None:
        self.embedded, self.settings = embedded, settings or embedded.settings
        self._cache = DigestCache(embedded.root / ".digests.json")

    @cached_property
    def encoder(self) -> dict[str, Any]:
        """The encoder's identity, by content."""
        chosen = self.settings
        if chosen.imported:
            parts = added_parts(Path(self.embedded.model), chosen.allow_legacy_weights)
            return added_identity(parts, chosen.options, self._cache)
        return encoder_identity(chosen.files(self.embedded.model), chosen.options, self._cache)

    @cached_property
    def sources(self) -> dict[str, Any]:
        """What the vectors are made of."""
        dataset = self.embedded.dataset(self.settings)
        digest = dataset.digest(self.embedded.size, self._cache)
        return {"encoder": self.encoder, "dataset": {"digest": digest}}

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that belong to the set rather than to its encoder."""
        return {"vectors_dtype": self.settings.vectors_dtype, "imported": self.settings.imported}

    @cached_property
    def expected(self) -> str:
        """The fingerprint that the embeddings must have to be fresh."""
        return fingerprint(STEP, VERSION, self.chosen, self.sources)

    def status(self, step: str) -> StepStatus:
        """The state of one artifact."""
        shelf = self.embedded.shelf
        manifest: Manifest | None = None
        try:
            manifest = shelf.manifest(step)
            damage = [] if manifest is None else shelf.damage(step)
        except (CorruptArtifactError, OSError) as error:
            damage = [str(error)]
        state, reason = self._judge(step, manifest, damage)
        if state != "fresh" and ArtifactLock(self.embedded.directory, step).is_held():
            state, reason = "running", "computed by another process now"
        n_bytes = manifest.n_bytes if manifest else 0
        found = manifest.fingerprint if manifest else None
        return StepStatus(step, STEPS[step], state, reason, n_bytes, None, found)

    def statuses(self) -> tuple[StepStatus, ...]:
        """The states of embeddings, neighbors and map."""
        return tuple(self.status(step) for step in STEPS)

    def _judge(self, step: str, manifest: Manifest | None, damage: list[str]) -> tuple[State, str]:
        if damage:
            return "corrupt", "; ".join(damage[:3])
        if manifest is None:
            return "missing", "not computed yet"
        if step == STEP:
            return self._judge_vectors(manifest)
        before = list(STEPS)[: list(STEPS).index(step)]
        unusable = [name for name in before if self.status(name).state not in ("fresh", "running")]
        if unusable:
            return "stale", f"its input {unusable[0]} is {self.status(unusable[0]).state}"
        changed = [
            name for name in manifest.inputs if manifest.inputs[name] != input_entry(self.embedded, name)
        ]
        return ("stale", f"the content of {', '.join(changed)} changed") if changed else ("fresh", "")

    def _judge_vectors(self, manifest: Manifest) -> tuple[State, str]:
        try:
            if manifest.fingerprint == self.expected:
                return "fresh", ""
        except UsageError as error:
            return "stale", f"its model or dataset cannot be read now: {error}"
        return "stale", self._difference(manifest)

    def _difference(self, manifest: Manifest) -> str:
        """Why the fingerprint is not the expected one, in words."""
        if manifest.version != VERSION:
            return f"computed by version {manifest.version} of the step, which is at {VERSION}"
        changed = [
            f"{name} is now {value}"
            for name, value in self.chosen.items()
            if manifest.settings.get(name) != value
        ]
        before = manifest.sources.get("encoder", {})
        parts = [name for name, value in self.encoder.items() if before.get(name) != value]
        changed += [f"the model's {name} changed" for name in parts]
        if manifest.sources.get("dataset") != self.sources["dataset"]:
            changed.append("the dataset's texts changed")
        return "; ".join(changed)


def input_entry(embedded: EmbeddingSet, step: str) -> InputEntry | None:
    """Fingerprint and content digest of an artifact that is published now."""
    try:
        manifest = embedded.shelf.manifest(step)
    except CorruptArtifactError:
        return None
    return None if manifest is None else InputEntry(fingerprint=manifest.fingerprint, digest=manifest.digest)

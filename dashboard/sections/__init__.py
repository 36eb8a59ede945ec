"""The sections of the feature page: one module each, and the one list of them."""

from __future__ import annotations

from dashboard.sections import (
    activations,
    contexts,
    effect,
    effects,
    examples,
    matches,
    metadata,
    relations,
    scatter,
    surroundings,
    traits,
    vocabulary,
)
from dashboard.sections.section import Filling, Section

SECTIONS: tuple[Section, ...] = (
    activations.SECTION,
    effects.SECTION,
    vocabulary.SECTION,
    surroundings.SECTION,
    relations.SECTION,
    matches.SECTION,
    traits.SECTION,
    scatter.SECTION,
    examples.SECTION,
    effect.SECTION,
    contexts.SECTION,
    metadata.SECTION,
)
"""Every section, in the order of its column."""

__all__ = ["SECTIONS", "Filling", "Section"]

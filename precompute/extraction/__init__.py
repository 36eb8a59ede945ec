"""Traits as directions: responses that show one against responses that do not, and what sets them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precompute.extraction.library import generate_batch_with_activations, get_activations_from_texts
    from precompute.extraction.text_model import TextModel

__all__ = ["TextModel", "generate_batch_with_activations", "get_activations_from_texts"]


def __getattr__(name: str) -> Any:
    """Import a thing when it is asked for: what reads results needs no torch."""
    if name == "TextModel":
        from precompute.extraction.text_model import TextModel

        return TextModel
    if name in __all__:
        from precompute.extraction import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Density weights: how alone each prompt stands among all, as the chance to be drawn in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precompute.density.results import DensityResult, open_density
    from precompute.density.sampler import DensitySampler

__all__ = ["DensityResult", "DensitySampler", "open_density"]


def __getattr__(name: str) -> Any:
    """Import a thing when it is asked for: the sampler needs torch, which the search must not meet."""
    if name == "DensitySampler":
        from precompute.density.sampler import DensitySampler

        return DensitySampler
    if name in __all__:
        from precompute.density import results

        return getattr(results, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The pages: one module each, and the one list of them."""

from __future__ import annotations

from dashboard.address import Address, AddressError, shortened
from dashboard.pages import (
    compare,
    density,
    embeddings,
    feature,
    feature_map,
    features,
    jobs,
    labels,
    overview,
    prompt,
    sweeps,
    token,
    tokens,
    traits,
)
from dashboard.pages.page import Page, Shown

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    features.PAGE,
    feature.PAGE,
    tokens.PAGE,
    token.PAGE,
    feature_map.PAGE,
    embeddings.PAGE,
    density.PAGE,
    traits.PAGE,
    sweeps.PAGE,
    compare.PAGE,
    prompt.PAGE,
    labels.PAGE,
    jobs.PAGE,
)
"""Every page of the app."""

__all__ = ["PAGES", "Page", "Shown", "page_at"]


def page_at(asked: Address) -> Page:
    """The page at an address; raises AddressError where there is none."""
    for page in PAGES:
        if page.matches(asked):
            return page
    known = ", ".join(page.path for page in PAGES)
    raise AddressError(f"no page at {shortened(asked.path)}", f"one of {known}", "follow a link below")

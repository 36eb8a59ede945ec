"""Where the pages of a model type are in a server that shows several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One model type among those of a server."""

    name: str
    """The model type."""
    base: str = ""
    """What the addresses of its pages begin with, such as `/ultra`; empty where it is served alone."""
    names: Sequence[str] = ()
    """All model types of the server, this one among them."""

    def base_of(self, other: str) -> str:
        """What the addresses of another model type's pages begin with."""
        return self.base.removesuffix(self.name) + other

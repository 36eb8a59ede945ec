"""What a page is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dash import Dash

from dashboard.address import Address, AddressError, shortened
from dashboard.queries import Queries


@dataclass(frozen=True)
class Shown:
    """A page as it is shown at one address."""

    path: str
    """Of the page in the navigation."""
    title: str
    content: Any
    """The Dash component."""


@dataclass(frozen=True)
class Page:
    """One page; a new one is a module with a PAGE and one line in the list."""

    path: str
    """Its address; a part in angle brackets stands for any value."""
    title: str
    description: str
    """One sentence for the documentation."""
    layout: Callable[[Queries, Address], Any]
    """What it shows at an address; raises LightwellError where that is nothing."""
    register: Callable[[Dash, Queries], None]
    """Adds its callbacks to an app."""
    in_navigation: bool = True
    titled: Callable[[Address], str] | None = None
    """The title at an address, where it is not always the same."""
    parameters: frozenset[str] | None = None
    """Parameters that its address may have; None where the page checks their names by itself."""
    example: str = ""
    """An address at which any model type shows something; empty where that is `path`."""

    @property
    def shown_at(self) -> str:
        """An address of the page, for whoever walks over all pages."""
        return self.example or self.path

    def matches(self, asked: Address) -> bool:
        """Whether an address is this page's."""
        own = [part for part in self.path.split("/") if part]
        pairs = zip(own, asked.parts, strict=False)
        return len(own) == len(asked.parts) and all(a == b or a.startswith("<") for a, b in pairs)

    def show(self, queries: Queries, asked: Address) -> Shown:
        """The page at an address; raises AddressError for a parameter that it does not know."""
        unknown = sorted(set(asked.parameters) - self.parameters) if self.parameters is not None else []
        if unknown:
            known = ", ".join(sorted(self.parameters or ())) or "none"
            raise AddressError(
                f"the parameter {shortened(unknown[0])}", f"parameters: {known}", "remove it from the address"
            )
        title = self.titled(asked) if self.titled else self.title
        return Shown(self.path, title, self.layout(queries, asked))

"""Where the pages of a model type are in a server that shows several, and what the others hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboard.queries import Queries


@dataclass(frozen=True)
class Place:
    """One model type among those of a server."""

    name: str
    """The model type."""
    base: str = ""
    """What the addresses of its pages begin with, such as `/ultra`; empty where it is served alone."""
    names: Sequence[str] = ()
    """All model types of the server, this one among them."""
    queries_of: Callable[[str], Queries] | None = None
    """The questions of any of them, by its name; None where it is served alone."""

    def base_of(self, other: str) -> str:
        """What the addresses of another model type's pages begin with."""
        return self.base.removesuffix(self.name) + other

    def others(self) -> dict[str, Callable[[], Queries]]:
        """The other model types by name; each is opened when it is first asked. Raises LightwellError then
        where its configuration is not valid."""
        ask = self.queries_of
        if ask is None:
            return {}
        return {name: lambda name=name: ask(name) for name in self.names if name != self.name}  # type: ignore[misc]

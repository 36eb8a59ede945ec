"""What a page asks to have computed: written in one way, in buttons, addresses and requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dashboard.address import AddressError, shortened
from precompute.jobs.kinds import steps_of

LONGEST = 400


@dataclass(frozen=True)
class Ask:
    """Some steps of a model type or of other work, or all: `ultra/influences,tfidf`, `ultra/*`, `ultra/idf!`,
    `embeddings:demo:toy/*`."""

    model_type: str
    """Or the name of other work, as `precompute.jobs.works` has it."""
    steps: tuple[str, ...] = ()
    """None means all."""
    verify: bool = False
    """Whether what is there is read whole first, since a panel could not read it."""

    @property
    def key(self) -> str:
        """As it is written."""
        return f"{self.model_type}/{','.join(self.steps) or '*'}{'!' if self.verify else ''}"

    @property
    def names(self) -> tuple[str, ...]:
        """The steps by name, also where all are meant."""
        return self.steps or steps_of(self.model_type)


def parse(text: object, model_types: Collection[str]) -> Ask:
    """Read an ask as a browser (or a forged request) sends it; raises AddressError."""
    if not isinstance(text, str) or len(text) > LONGEST:
        raise AddressError(f"an ask {shortened(text)}", "MODEL_TYPE/STEPS", "reload the page")
    model_type, _, rest = text.removesuffix("!").partition("/")
    if model_type not in model_types:
        known = ", ".join(model_types)
        raise AddressError(f"model type {shortened(model_type)}", f"one of {known}", "reload the page")
    names = () if rest == "*" else tuple(rest.split(","))
    for name in names:
        known_steps = steps_of(model_type)
        if name not in known_steps:
            wanted = f"one of {', '.join(known_steps)}"
            raise AddressError(f"step {shortened(name)}", wanted, "reload the page")
    return Ask(model_type, names, text.endswith("!"))

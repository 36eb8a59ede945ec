"""Which tokens a captured vector is the mean of: `prompt[-1]`, `response[:]`, `response[:5]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from precompute.errors import UsageError

Part = Literal["prompt", "response"]
RULE = re.compile(r"(prompt|response)\[(-?\d+)?(:)?(-?\d+)?\]", re.ASCII)
EXPECTED = "prompt[-1], response[:], response[:5], response[-1] or the like, counted from one end"


@dataclass(frozen=True)
class PositionRule:
    """Tokens of the prompt or of the response, as a Python index or slice; several are averaged."""

    text: str
    part: Part
    start: int | None
    stop: int | None
    """None where the rule is a single index, or its slice has no end."""
    is_slice: bool

    @property
    def n_from_end(self) -> int:
        """How many of the last tokens must be kept until the text has ended; 0 where counting from the start
        tells at once."""
        return max(0, -(self.start or 0))

    def positions(self, n: int) -> range:
        """The positions in a part of n tokens; none where the part is too short."""
        if self.is_slice:
            return range(n)[self.start : self.stop]
        index = self.start or 0
        index += n if index < 0 else 0
        return range(index, index + 1) if 0 <= index < n else range(0)

    def takes(self, index: int) -> bool:
        """Whether the token of that index is among them, for rules that count from the start."""
        if not self.is_slice:
            return index == self.start
        return index >= (self.start or 0) and (self.stop is None or index < self.stop)

    @property
    def slug(self) -> str:
        """The rule in the name of a file."""
        if not self.is_slice:
            return f"{self.part}_at_{self.start}"
        if self.start is None and self.stop is None:
            return f"{self.part}_mean"
        return f"{self.part}_from_{self.start or 0}" + ("" if self.stop is None else f"_to_{self.stop}")


def parse_rule(text: str) -> PositionRule:
    """The rule of that name; raises UsageError for one that cannot be told while tokens come one by one."""
    match = RULE.fullmatch(text.strip())
    if match is None or (match[2] is None and match[3] is None):
        raise UsageError(f"position rule {text!r}", EXPECTED, "correct --positions")
    start, stop = (None if part is None else int(part) for part in (match[2], match[4]))
    is_slice = match[3] is not None
    from_both = stop is not None and (stop < 0 or (start is not None and start < 0))
    if from_both or (not is_slice and stop is not None):
        raise UsageError(f"position rule {text!r}", EXPECTED, "correct --positions")
    return PositionRule(text.strip(), "prompt" if match[1] == "prompt" else "response", start, stop, is_slice)


def parse_rules(texts: Sequence[str]) -> tuple[PositionRule, ...]:
    """Several different rules."""
    rules = tuple(parse_rule(text) for text in texts)
    if not rules or len({rule.slug for rule in rules}) != len(rules):
        raise UsageError(
            f"position rules {', '.join(texts) or 'none'}", "different ones", "correct --positions"
        )
    return rules

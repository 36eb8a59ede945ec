"""The presets of sweeps by name: those that come with it, and those in a user's ./conf/eval."""

from __future__ import annotations

import re
from pathlib import Path

from precompute.config import NAME_PATTERN

CONF = Path(__file__).with_name("conf")
OWN = Path("conf")
"""A user's own groups, in the directory from which the command is called."""
USUAL = ("quick", "standard", "cool", "all")
"""In the order in which they are offered."""


def presets() -> tuple[str, ...]:
    """All names, the usual ones first."""
    own = sorted(path.stem for path in (OWN / "eval").glob("*.yaml") if re.fullmatch(NAME_PATTERN, path.stem))
    return (*USUAL, *(name for name in own if name not in USUAL))

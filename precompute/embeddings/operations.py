"""How embedding sets are computed: what may change no vector by more than rounding."""

from __future__ import annotations

from dataclasses import dataclass

SHARD_TEXTS = 512
"""Texts of a shard: what a killed process loses at most."""


@dataclass(frozen=True)
class Operations:
    """How a set is computed; nothing here changes a vector by more than rounding."""

    device: str = "auto"
    """auto, cpu or cuda."""
    batch_size: int | None = None
    """Texts in one batch; None leaves it to the token budget."""
    token_budget: int | None = None
    """Tokens in one batch, padding included; None is what suits the device."""
    shard_texts: int = SHARD_TEXTS
    """Texts of a shard."""
    workers: int = 1
    """Processes that read the documentation on this machine, the first time."""

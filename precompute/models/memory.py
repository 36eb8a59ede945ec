"""What running out of memory looks like."""

from __future__ import annotations

import gc

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch or the system ran out of memory; torch has no class of its own for the CPU's."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


def release(device: str) -> None:
    """Give back what a failed batch held."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()

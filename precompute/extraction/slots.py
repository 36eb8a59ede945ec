"""Keys and values of a batch, written in place, whose rows are taken up by one text after another.

Every row ends at the same column, so a row is padded on its left. Unlike transformers' own layers these copy
nothing from step to step, and let a row be given to another text while the others go on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Columns that are added at a time, at least."""


class SlotLayer(DynamicLayer):
    """Keys and values of one layer: a window of columns in buffers that are larger."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.first = self.stop = 0
        """Columns of the buffers that are in use."""
        self._buffers = (torch.zeros(0), torch.zeros(0))
        """Keys and values, [n_rows, n_heads, n_columns, d_head] once there are any."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make empty buffers like the first states."""
        n = key_states.shape[-2]
        self._buffers = (_room(key_states, n), _room(value_states, n))
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the new columns after the others; returns all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        n = key_states.shape[-2]
        if self.stop + n > self._buffers[0].shape[-2]:
            self._move(0, n)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.stop : self.stop + n] = states
        self.stop += n
        return self.columns()

    def columns(self) -> tuple[Tensor, Tensor]:
        """Keys and values in use."""
        keys, values = self._buffers
        return keys[:, :, self.first : self.stop], values[:, :, self.first : self.stop]

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.stop - self.first

    def drop(self, n: int) -> None:
        """Forget the first n columns."""
        self.first += n

    def widen(self, n: int) -> None:
        """Put n columns before the others."""
        if self.first < n:
            self._move(n, 0)
        for buffer in self._buffers:
            buffer[:, :, self.first - n : self.first] = 0
        self.first -= n

    def place(self, rows: Tensor, fresh: SlotLayer, others: Tensor) -> None:
        """Give rows to some of another layer's, whose columns end where these do; they must not be more."""
        n = fresh.get_seq_length()
        for own, other in zip(self._buffers, fresh.columns(), strict=True):
            own[rows, :, self.stop - n : self.stop] = other[others]

    def select(self, rows: Tensor) -> None:
        """Keep some rows."""
        keys, values = self.columns()
        self._buffers = (keys[rows], values[rows])
        self.first, self.stop = 0, self.get_seq_length()

    def _move(self, before: int, after: int) -> None:
        """Make room before and after the columns in use."""
        n = self.get_seq_length()
        moved = []
        for used in self.columns():
            new = _room(used, before + n + after)
            new[:, :, before : before + n] = used
            moved.append(new)
        self._buffers = (moved[0], moved[1])
        self.first, self.stop = before, before + n


def _room(like: Tensor, n: int) -> Tensor:
    rows, heads, _, width = like.shape
    return like.new_zeros((rows, heads, n + max(ROOM, n // 2), width))


class SlotCache(Cache):
    """The layers together, as transformers takes them; all of them have the same columns.

    Layers with a sliding window keep every column: the mask, not the cache, is what makes them slide.
    """

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=SlotLayer)

    @property
    def slots(self) -> list[SlotLayer]:
        """The layers."""
        return [layer for layer in self.layers if isinstance(layer, SlotLayer)]

    @property
    def width(self) -> int:
        """Columns in use."""
        return int(self.get_seq_length())

    def drop(self, n: int) -> None:
        """Forget the first n columns."""
        for layer in self.slots:
            layer.drop(n)

    @torch.inference_mode()
    def place(self, rows: Tensor, fresh: SlotCache, others: Tensor) -> None:
        """Give rows to some of another cache's, making room where its columns are more."""
        lacking = fresh.width - self.width
        for layer, other in zip(self.slots, fresh.slots, strict=True):
            if lacking > 0:
                layer.widen(lacking)
            layer.place(rows, other, others)

    @torch.inference_mode()
    def select(self, rows: Tensor) -> None:
        """Keep some rows."""
        for layer in self.slots:
            layer.select(rows)

"""What passes the capture sites, averaged over the positions that rules name, while tokens are generated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.extraction.positions import PositionRule
from precompute.models.language_model import LanguageModel

Vectors = dict[str, NDArray[np.float32]]
"""By capture site, [n_rules, d]; NaN where a rule names no token of the text."""


@contextmanager
def watched(model: LanguageModel, sites: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """What passed each site in the latest forward pass, as the model has it."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> None:
        seen[name] = value.detach()

    handles = []
    try:
        for name in sites:
            handles.append(model.sites.site(name).read(lambda value, name=name: keep(name, value)))  # type: ignore[misc]
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class RowMeans:
    """Running means of each row of a batch, in float32; rows come and go."""

    def __init__(self, rules: Sequence[PositionRule], n_rows: int, device: str) -> None:
        self.rules, self._n_rows, self._device = tuple(rules), n_rows, device
        self._n_kept = max((rule.n_from_end for rule in rules if rule.part == "response"), default=0)
        self._sums: dict[str, Tensor] = {}
        self._lasts: dict[str, Tensor] = {}
        self._counts = np.zeros((n_rows, len(rules)), dtype=np.int64)

    def begin(self, n_prompts: Sequence[int], seen: Mapping[str, Tensor]) -> None:
        """The prompt of every row was read, padded on the left."""
        width = next(iter(seen.values())).shape[1]
        weights = np.zeros((self._n_rows, len(self.rules), width), dtype=np.float32)
        for r, rule in enumerate(self.rules):
            for row, n in enumerate(n_prompts) if rule.part == "prompt" else ():
                chosen = rule.positions(n)
                weights[row, r, [width - n + p for p in chosen]] = 1
                self._counts[row, r] = len(chosen)
        taken = torch.from_numpy(weights).to(self._device)
        for name, value in seen.items():
            # What stands in padding is arbitrary, and weighs nothing.
            self._sums[name] = torch.einsum("nrp,npd->nrd", taken, value.float())
            self._lasts[name] = self._sums[name].new_zeros(self._n_rows, self._n_kept, value.shape[-1])

    def place(self, rows: Tensor, fresh: RowMeans, others: Tensor) -> None:
        """Give rows to some of another batch's."""
        self._counts[rows.cpu().numpy()] = fresh._counts[others.cpu().numpy()]
        for name, sums in self._sums.items():
            sums[rows] = fresh._sums[name][others]
            self._lasts[name][rows] = fresh._lasts[name][others]

    def add(self, indices: Sequence[int], seen: Mapping[str, Tensor]) -> None:
        """One more response token of the rows was read; `indices` says which of its response it is, -1 where
        a row is free."""
        takes = np.zeros((self._n_rows, len(self.rules)), dtype=np.float32)
        for r, rule in enumerate(self.rules):
            if rule.part == "response" and not rule.n_from_end:
                takes[:, r] = [rule.takes(index) for index in indices]
        self._counts += takes.astype(np.int64)
        weights = torch.from_numpy(takes).to(self._device)[:, :, None]
        # What a free row keeps is put over by the text that takes it up.
        slots = torch.tensor(indices, device=self._device) % max(1, self._n_kept)
        for name, value in seen.items():
            x = value[:, -1].float()
            self._sums[name].addcmul_(weights, x[:, None])
            if self._n_kept:
                self._lasts[name][torch.arange(self._n_rows, device=self._device), slots] = x

    def end(self, row: int, n_response: int) -> Vectors:
        """The means of a text that has ended."""
        found: Vectors = {}
        counts = self._counts[row].copy()
        for name, sums in self._sums.items():
            total = sums[row].clone()
            for r, rule in enumerate(self.rules):
                if rule.part == "response" and rule.n_from_end:
                    chosen = rule.positions(n_response)
                    slots = [index % self._n_kept for index in chosen]
                    total[r], counts[r] = self._lasts[name][row, slots].sum(dim=0), len(chosen)
            values = total.cpu().numpy()
            with np.errstate(invalid="ignore", divide="ignore"):
                found[name] = np.where(counts[:, None] > 0, values / counts[:, None], np.nan).astype(
                    np.float32
                )
        return found

    def select(self, rows: Tensor) -> None:
        """Keep some rows."""
        self._sums = {name: value[rows] for name, value in self._sums.items()}
        self._lasts = {name: value[rows] for name, value in self._lasts.items()}
        self._counts, self._n_rows = self._counts[rows.cpu().numpy()], len(rows)

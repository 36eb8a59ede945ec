"""Things that are equal, counted as one: texts of one content, vectors of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64, UInt64


@dataclass(frozen=True)
class Groups:
    """Which of n things are equal; groups are numbered in the order of their first members."""

    numbers: Int64[np.ndarray, " n"]
    """The group of each."""
    firsts: Int64[np.ndarray, " n_groups"]
    """The first member of each group, ascending."""

    @classmethod
    def of(cls, keys: UInt64[np.ndarray, "n n_words"]) -> Groups:
        """The groups of equal keys."""
        order = np.lexsort(keys.T)
        begins = np.ones(len(keys), bool)
        begins[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
        firsts = order[begins]  # the sort is stable, so each is the least of its group
        rank = np.empty(len(firsts), np.int64)
        rank[np.argsort(firsts)] = np.arange(len(firsts))
        numbers = np.empty(len(keys), np.int64)
        numbers[order] = rank[np.cumsum(begins) - 1]
        return cls(numbers, np.sort(firsts))

    @classmethod
    def numbered(cls, numbers: Int64[np.ndarray, " n"]) -> Groups:
        """Groups from the number of each thing's group."""
        return cls(numbers, np.unique(numbers, return_index=True)[1])

    @property
    def n(self) -> int:
        """How many groups there are."""
        return len(self.firsts)

    @cached_property
    def _members(self) -> Int64[np.ndarray, " n"]:
        return np.argsort(self.numbers, kind="stable")

    @cached_property
    def _begins(self) -> Int64[np.ndarray, " n_groups_plus_1"]:
        return np.concatenate([[0], np.cumsum(np.bincount(self.numbers, minlength=self.n))])

    def members(self, first: int, stop: int) -> Int64[np.ndarray, " n_members"]:
        """All members of the groups from `first` up to, not including, `stop`."""
        return self._members[self._begins[first] : self._begins[stop]]

    def first_members(self, groups: Int64[np.ndarray, "*shape"], m: int) -> Int64[np.ndarray, "*shape m"]:
        """The first m members of groups, ascending; -1 where a group has fewer."""
        places = self._begins[groups][..., None] + np.arange(m)
        there = places < self._begins[groups + 1][..., None]
        return np.where(there, self._members[np.minimum(places, len(self._members) - 1)], -1)

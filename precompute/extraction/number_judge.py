"""What number from 0 to 100 a model expects to write next, over all ways in which its tokens spell it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from precompute.extraction.generation import longest
from precompute.extraction.prompts import chat_ids
from precompute.extraction.text_model import TextModel

LEAST_MASS = 0.25
"""Of the probability that must lie on numbers for a score to mean anything."""
LEAST_PATH = 1e-3
"""Spellings that are less likely are not followed further."""
NUMBERS = frozenset(str(number) for number in range(101))


class NumberJudge:
    """Asks a model for a score."""

    def __init__(self, model: TextModel) -> None:
        self.model = model

    @cached_property
    def _digits(self) -> dict[int, str]:
        """Tokens that are digits, a leading space aside; those with one can only begin a number."""
        names = enumerate(self.model.str_tokens)
        return {
            token: text for token, text in names if text.strip() in NUMBERS and text.lstrip(" ").isdecimal()
        }

    def score(self, prompt: str) -> float | None:
        """The expected number; None where too little of the probability lies on numbers, or the prompt is
        longer than the model reads."""
        ids = list(chat_ids(self.model, "", prompt))
        if len(ids) + 3 > longest(self.model.language_model):
            return None
        mass = np.zeros(101)
        self._spell(ids, "", 1.0, mass)
        total = float(mass.sum())
        return float(mass @ np.arange(101)) / total if total >= LEAST_MASS else None

    def _spell(self, ids: list[int], written: str, share: float, mass: NDArray[np.float64]) -> None:
        """Add the probability of each number that begins with what is written."""
        following = self._next(ids)
        ends = 1.0
        for token, text in self._digits.items():
            number = written + (text.lstrip(" ") if not written else text)
            if number not in NUMBERS:
                continue
            probability = float(following[token])
            ends -= probability
            goes_on = any(other != number and other.startswith(number) for other in NUMBERS)
            if goes_on and share * probability >= LEAST_PATH:
                self._spell([*ids, token], number, share * probability, mass)
                continue
            mass[int(number)] += share * probability
        if written in NUMBERS:
            mass[int(written)] += share * max(ends, 0.0)

    def _next(self, ids: list[int]) -> NDArray[np.float64]:
        given = torch.tensor([ids], device=self.model.language_model.device)
        with torch.inference_mode():
            logits = self.model.language_model.logits(given, torch.ones_like(given))[0, -1]
        found: NDArray[np.float64] = torch.softmax(logits.double(), dim=-1).cpu().numpy()
        return found

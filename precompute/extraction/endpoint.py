"""Scores by an endpoint that speaks OpenAI's chat completions; the key is read from the environment alone."""

from __future__ import annotations

import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from precompute.extraction.number_judge import LEAST_MASS, NUMBERS

KEY_VARIABLE = "LIGHTWELL_JUDGE_KEY"
AT_ONCE, TRIES, SECONDS = 8, 3, 60.0
"""Requests at a time, attempts of each, and how long one may take."""
LIKELIEST = 20


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and which model."""

    url: str
    model: str | None = None

    def scores(self, prompts: Sequence[str | None], advance: Callable[[int], None]) -> list[float | None]:
        """The score of each prompt, in their order; None for no prompt, and where there was no answer."""

        def one(prompt: str | None) -> float | None:
            return None if prompt is None else self.score(prompt)

        found = []
        with ThreadPoolExecutor(AT_ONCE) as executor:
            for score in executor.map(one, prompts):
                found.append(score)
                advance(1)
        return found

    def score(self, prompt: str) -> float | None:
        """One score: by the probabilities of the first token where they are told, else by what is written."""
        body = {
            "model": self.model or "default",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 4,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": LIKELIEST,
        }
        for attempt in range(TRIES):
            try:
                return _understood(self._asked(body))
            except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError, LookupError, TypeError):
                time.sleep(0.2 * 2**attempt)
        return None

    def _asked(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.loads(response.read())


def _understood(answer: Any) -> float | None:
    choice = answer["choices"][0]
    told = ((choice.get("logprobs") or {}).get("content") or [{}])[0].get("top_logprobs")
    if told:
        shares = {entry["token"].strip(): math.exp(entry["logprob"]) for entry in reversed(told)}
        numbers = {int(token): share for token, share in shares.items() if token in NUMBERS}
        total = sum(numbers.values())
        if total >= LEAST_MASS:
            return sum(number * share for number, share in numbers.items()) / total
    written = re.search(r"\d+(?:\.\d+)?", choice["message"]["content"] or "")
    number = float(written.group()) if written else math.nan
    return number if 0 <= number <= 100 else None

"""Why a model type cannot be computed at all: files that are not there, or not what they should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from precompute.config import KnownType
from precompute.errors import LightwellError
from precompute.pipeline.origin import origin_of

SECONDS_TRUSTED = 2.0
"""After which the files are looked at anew: somebody may have put them right."""


class Obstacles:
    """What stands in the way of each model type, judged by its small files and looked up rarely."""

    def __init__(self, model_type_of: Callable[[str], KnownType]) -> None:
        self._model_type_of = model_type_of
        self._known: dict[str, tuple[float, str]] = {}

    def of(self, name: str) -> str:
        """Why nothing can be computed, and what to do; empty where nothing speaks against it."""
        looked, sentence = self._known.get(name, (0.0, ""))
        if name not in self._known or time.monotonic() - looked > SECONDS_TRUSTED:
            sentence = obstacle(self._model_type_of(name))
            self._known[name] = time.monotonic(), sentence
        return sentence

    def forget(self, name: str) -> None:
        """Look anew when asked next."""
        self._known.pop(name, None)


def obstacle(model_type: KnownType) -> str:
    """The first thing that is wrong with the files of a model type, as an error says it; empty for none.

    Hub ids are left to the job: looking for one may take long.
    """
    origin = origin_of(model_type)
    if not all(Path(place).is_absolute() for place in origin.places):
        return ""
    try:
        origin.check_files()
    except (LightwellError, OSError) as error:
        return str(error)
    return ""

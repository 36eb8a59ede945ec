"""The model of an embedding set in a process of its own: it gives a query its vector."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashboard.embedded import OpenedSet
from dashboard.inference import WORKER, ModelProcess
from precompute.artifacts.manifest import canonical_json


class Embedder(ModelProcess):
    """The encoder that made one embedding set."""

    def __init__(self, opened: OpenedSet) -> None:
        super().__init__((*WORKER, opened.name.model))
        self._embedded = opened.embedded
        self._version = opened.version

    def vector(self, text: str) -> NDArray[np.float32]:
        """float32 [d]: the vector of a text. Raises LightwellError, as where the model has changed."""
        return np.asarray(self.ask("vector", text=text), dtype=np.float32)

    def _described(self) -> str:
        embedded = self._embedded
        place = None if embedded.given_data_dir is None else str(embedded.data_dir)
        return canonical_json(
            {"embedding_set": {"model": embedded.model, "size": embedded.size, "data_dir": place}}
        )

    def _fingerprint(self) -> str:
        return canonical_json({"version": self._version})

    def _files(self) -> tuple[Path, ...]:
        return (Path(self._embedded.model),)


class Embedders:
    """The processes of a server, one an embedding set, and not many at a time."""

    MOST = 2
    """Processes at a time: each holds a model."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], Embedder] = {}
        self._choosing = threading.Lock()

    def vector(self, opened: OpenedSet, text: str) -> NDArray[np.float32]:
        """The vector of a text, by the model of a set."""
        return self._of(opened).vector(text)

    def _of(self, opened: OpenedSet) -> Embedder:
        # A page asks several times at once: each would start a process of its own.
        with self._choosing:
            if opened.version in self._running:
                return self._running[opened.version]
            ended = list(self._running)[: len(self._running) - self.MOST + 1]
            gone = [self._running.pop(version) for version in ended]
            made = self._running[opened.version] = Embedder(opened)
        for embedder in gone:  # Outside: it waits for the answer that is under way.
            embedder.close()
        return made

    def close(self) -> None:
        """End all of them."""
        for embedder in self._running.values():
            embedder.close()

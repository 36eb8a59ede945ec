"""The vector cache: each activation extracted once in its life, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.sweeps.rows import ShardRows
from precompute.sweeps.shard_files import Shard, ShardFiles

KIND, VERSION = "vectors", 1
Vectors = npt.NDArray[np.float32]
Extract = Callable[[ShardRows], Vectors]
"""The activations of all rows of a shard: float32 [n_rows, d_in]."""


def vector_identity(
    activations: dict[str, Any], corpus: str, n_ctx: int, prepend_bos: bool, positions: dict[str, Any]
) -> dict[str, Any]:
    """What determines the cached activations, by content: not how many are used, nor how they are computed.

    `activations`: model, revision, tokenizer, adapter, dtype, site; `corpus`: digest of the texts in order.
    """
    return {
        **activations, "corpus": corpus, "n_ctx": n_ctx, "prepend_bos": prepend_bos, "positions": positions,
        "stored": "float32",
    }  # fmt: skip


class VectorCache:
    """The activations of the shards."""

    def __init__(self, files: ShardFiles, load: bool = True) -> None:
        """Without `load`, what is there is not read, but replaced."""
        self.files, self._load = files, load

    def vectors(self, rows: ShardRows, extract: Extract) -> Shard:
        """The shard of some rows, extracted where it is not there, not whole, or of another length."""
        found = self.files.open(rows.number) if self._load else None
        if found is not None and found.facts.get("n_rows") == len(rows):
            return found
        return self.files.write(rows.number, {"x": extract(rows)}, {"n_rows": len(rows)})

"""One process of a test under torchrun: embeds the same dataset at several batch sizes."""

from __future__ import annotations

import sys
from pathlib import Path

from precompute.embeddings.compute import compute
from precompute.embeddings.embedding_set import SetSettings
from precompute.embeddings.operations import Operations
from precompute.executors.ranks import Ranks


def main(model: str, dataset: str, out: str, *batch_sizes: str) -> None:
    ranks = Ranks.of_environment()
    ranks.open()
    for batch_size in batch_sizes:
        operations = Operations(device="cpu", batch_size=int(batch_size), shard_texts=16)
        compute(
            model, ["full"], SetSettings(dataset=dataset), operations, Path(out) / batch_size, ranks=ranks
        )
    ranks.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

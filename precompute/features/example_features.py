"""Example features: which features fire on each example, how often, and how strongly at most."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.features.soundness import checked_features, checked_indptr
from precompute.npy import NpyWriter
from precompute.pipeline.step import Step, StepContext
from precompute.stores.layout import feature_dtype
from precompute.stores.row_store import RowStore

DIRECTORY = "example_features"


@dataclass(frozen=True)
class ExampleFeatures:
    """Compressed sparse rows over consecutive examples; features ascend within an example."""

    indptr: NDArray[np.int64]
    """int64 [n_examples + 1]: where each example's entries lie in the other arrays."""
    features: NDArray[Any]
    max_acts: NDArray[np.float32]
    """Greatest activation of the feature on the example."""
    counts: NDArray[Any]
    """Rows of the example on which the feature fires."""

    def stored(self, d_sae: int) -> ExampleFeatures:
        """In the types in which they are kept, which are smaller."""
        types = stored_types(d_sae)
        return ExampleFeatures(self.indptr, *(getattr(self, name).astype(types[name]) for name in types))


def stored_types(d_sae: int) -> dict[str, str]:
    """The types of the arrays on disk."""
    return {"features": feature_dtype(d_sae), "max_acts": "float32", "counts": "uint32"}


def shard_examples(store: RowStore, number: int, listed: range) -> ExampleFeatures:
    """The listed features on each example of one shard."""
    from precompute.features.kernels.example_maxima import example_maxima

    offsets = store.example_offsets
    owners = store.values(number, "example")
    first_rows = np.searchsorted(owners, np.arange(offsets[number], offsets[number + 1] + 1))
    row_indptr, features = checked_indptr(store, number), checked_features(store, number).astype(np.int64)
    acts = store.values(number, "acts").astype(np.float32)
    found = example_maxima(row_indptr[first_rows], features, acts, listed.start, listed.stop, store.d_sae)
    return ExampleFeatures(*found)


def _finding(context: StepContext) -> Callable[[int], ExampleFeatures]:
    store = context.row_store()
    listed = context.features(store.d_sae)
    return lambda number: shard_examples(store, number, listed).stored(store.d_sae)


def run(context: StepContext) -> None:
    """Write example_features/, shard after shard."""
    store = context.row_store()
    context.progress.start(store.n_examples, "examples")
    directory, lengths = context.out / DIRECTORY, [np.zeros(1, np.int64)]
    directory.mkdir(exist_ok=True)
    with ExitStack() as files:
        written = {
            name: files.enter_context(NpyWriter(directory / f"{name}.npy", dtype))
            for name, dtype in stored_types(store.d_sae).items()
        }
        for found in context.map(_finding, range(store.n_shards)):
            for name, file in written.items():
                file.append(getattr(found, name))
            lengths.append(np.diff(found.indptr))
            context.progress.advance(len(lengths[-1]))
    indptr = np.concatenate(lengths).cumsum().astype(np.int64)
    np.save(directory / "indptr.npy", indptr, allow_pickle=False)


STEP = Step(
    name="example_features",
    version=1,
    summary="The features that fire on each example, with greatest activation and count.",
    outputs=(DIRECTORY,),
    run=run,
    inputs=("activations",),
    settings=("features",),
    seconds_per_million=0.2,
)

"""Example features: which features fire on each example, how often, and how strongly at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.executors import map_ordered
from precompute.pipeline.step import Step, StepContext
from precompute.stores.layout import feature_dtype
from precompute.stores.row_store import RowStore

DIRECTORY = "example_features"


@dataclass(frozen=True)
class ExampleFeatures:
    """Compressed sparse rows over consecutive examples; features ascend within an example."""

    indptr: NDArray[np.int64]
    """int64 [n_examples + 1]: where each example's entries lie in the other arrays."""
    features: NDArray[np.int64]
    max_acts: NDArray[np.float32]
    """Greatest activation of the feature on the example."""
    counts: NDArray[np.int64]
    """Rows of the example on which the feature fires."""


def shard_examples(store: RowStore, number: int, listed: range) -> ExampleFeatures:
    """The listed features on each example of one shard."""
    from precompute.features.kernels.example_maxima import example_maxima

    offsets = store.example_offsets
    owners = np.asarray(store.array(number, "example")[:])
    first_rows = np.searchsorted(owners, np.arange(offsets[number], offsets[number + 1] + 1))
    row_indptr = np.asarray(store.array(number, "indptr")[:], dtype=np.int64)
    features = np.array(store.array(number, "features")[:], dtype=np.int64)
    acts = np.array(store.array(number, "acts")[:], dtype=np.float32)
    found = example_maxima(row_indptr[first_rows], features, acts, listed.start, listed.stop, store.d_sae)
    return ExampleFeatures(*found)


def _shards(context: StepContext, store: RowStore) -> Iterator[ExampleFeatures]:
    listed = context.features(store.d_sae)

    def one(number: int) -> ExampleFeatures:
        return shard_examples(store, number, listed)

    for found in map_ordered(one, range(store.n_shards), context.operations.workers):
        context.progress.advance(len(found.indptr) - 1)
        yield found


def run(context: StepContext) -> None:
    """Write example_features/ in two passes over the shards: lengths first, since a file needs its length."""
    store = context.row_store()
    context.progress.start(2 * store.n_examples, "examples")
    lengths = [np.diff(found.indptr) for found in _shards(context, store)]
    indptr = np.concatenate([[0], *lengths]).cumsum().astype(np.int64)
    directory = context.out / DIRECTORY
    directory.mkdir(exist_ok=True)
    np.save(directory / "indptr.npy", indptr, allow_pickle=False)
    types = {"features": feature_dtype(store.d_sae), "max_acts": "float32", "counts": "uint32"}
    arrays = {
        name: np.lib.format.open_memmap(
            directory / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=(int(indptr[-1]),)
        )
        for name, dtype in types.items()
    }
    end = 0
    for found in _shards(context, store):
        begin, end = end, end + len(found.features)
        for name, array in arrays.items():
            array[begin:end] = getattr(found, name)
    for array in arrays.values():
        array.flush()


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

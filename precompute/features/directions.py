"""Step `directions`: decoder directions and the effective unembedding, so that readers need no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precompute.config import with_model
from precompute.errors import NotApplicableError
from precompute.features.imported_corpus import imported_type
from precompute.pipeline.step import OnStore, Step, StepContext
from precompute.stores.row_store import RowStore


def run(context: StepContext) -> None:
    """Write directions.npy, unembed.npy and directions.json."""
    from precompute.models.encoding import SAEReader
    from precompute.models.unembedding import effective_unembedding

    context.progress.start(2, "parts")
    reader = SAEReader.load(with_model(context.model_type), context.operations.device)
    _save(context, "directions", reader.sae.decoder_directions().cpu().numpy())
    context.progress.advance()
    s = inverse_sigma(context.row_store())
    try:
        effective = effective_unembedding(reader, s)
        unembed = effective.matrix
        record = {"inverse_sigma": s, "norm": effective.norm, "tokens": True}
    except NotApplicableError as reason:
        unembed = np.zeros((reader.language_model.d_model, 0), dtype=np.float32)
        record = {"inverse_sigma": None, "norm": None, "tokens": False, "reason": str(reason)}
    _save(context, "unembed", unembed)
    context.write_record("directions", record)
    context.progress.advance()


def inverse_sigma(store: RowStore) -> float:
    """s: mean over all rows of what the final norm makes of one unit; 1 where nothing changes it.

    That is 1 / sigma of the norm, times the row's own scale where the SAE's `decode` has one.
    """
    sums = np.sum([np.asarray(store.array(n, "inverse_sigma")[:]) for n in range(store.n_shards)], axis=0)
    total, n_rows = np.broadcast_to(sums, 2).tolist()
    return float(total / n_rows) if n_rows else 1.0


def _save(context: StepContext, name: str, array: NDArray[np.float32]) -> None:
    np.save(context.out / f"{name}.npy", np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)


def of_sae_alone(context: StepContext) -> None:
    """The same where activations were imported: without a model, directions lead to no token."""
    from precompute.models.sae.registry import load_sae

    sae = imported_type(context).sae
    if sae is None:
        raise NotApplicableError("the model type names no `sae`, so features have no known directions")
    directions = load_sae(sae).decoder_directions().cpu().numpy()
    _save(context, "directions", directions)
    _save(context, "unembed", np.zeros((directions.shape[1], 0), dtype=np.float32))
    reason = "the activations were imported without a model"
    context.write_record(
        "directions", {"inverse_sigma": None, "norm": None, "tokens": False, "reason": reason}
    )


STEP = Step(
    name="directions",
    version=1,
    summary="Decoder directions and the effective unembedding, for token effects and cosines without torch.",
    outputs=("directions.npy", "unembed.npy", "directions.json"),
    run=run,
    inputs=("activations",),
    sources=("model", "sae"),
    on_store=OnStore("Decoder directions of the SAE, for cosines without torch.", of_sae_alone, ("sae",)),
    seconds_per_million=0.1,
)

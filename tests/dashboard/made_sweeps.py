"""Sweeps for the dashboard's tests: made results of known noise, as the program writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from precompute.sweeps.curves import Resampling, curve
from precompute.sweeps.results import ROWS_PER_GROUP, ROWS_SCHEMA, record, recoveries
from precompute.sweeps.score_shards import CURVES, score_rows
from precompute.sweeps.subsets import weights_by_subset

K_VALUES = [1, 2, 4]
N_ROWS, N_SAMPLES, N_TOKENS, D_IN = 40, 8, 3, 6
VOCABULARY = ["<|bos|>", "<b>", " the", "\n", "\u200b", *(f" word{i}" for i in range(15))]


def make_sweep(data_dir: Path, name: str, noise: float, intervals: bool = True) -> Path:
    """The results of one sweep, two rows a text; gives its JSON."""
    draw = np.random.default_rng(round(noise * 100))
    text = np.arange(N_ROWS) // 2
    x = draw.normal(size=(N_ROWS, D_IN))
    x_hat = (x[:, None] + noise * draw.normal(size=(N_ROWS, N_SAMPLES, D_IN))).astype(np.float32)
    scores = score_rows(text, x.astype(np.float32), x_hat, K_VALUES)
    mse = np.einsum("rks,rs->rk", weights_by_subset(scores.errors, K_VALUES), scores.errors) / D_IN
    distance = np.square(x - x.mean(0)).sum(-1)
    table = {
        "row": range(N_ROWS),
        "text_id": [f"{t:032x}" for t in text],
        "chunk": [0] * N_ROWS,
        "position": (1 + np.arange(N_ROWS) % 5).tolist(),
        "token_ids": [[0, *draw.integers(1, 20, 7).tolist()] for _ in range(N_ROWS)],
        "distance": distance,
        "best": scores.errors.argmin(1),
        "errors": scores.errors.tolist(),
        "samples": draw.integers(1, 20, (N_ROWS, N_SAMPLES, N_TOKENS)).tolist(),
        "mse": mse.tolist(),
        "recovery": recoveries(mse, distance, D_IN),
    }
    found = record(
        {"k_values": K_VALUES, "n_samples": N_SAMPLES},
        {},
        {"n_texts": N_ROWS // 2, "n_rows": N_ROWS, "d_in": D_IN, "n_tokens": N_TOKENS},
        {curve_: curve(scores.sums[curve_], Resampling(200, 0) if intervals else None) for curve_ in CURVES},
    )
    directory = data_dir / "eval_results"
    directory.mkdir(exist_ok=True)
    pl.DataFrame(table, schema=dict(ROWS_SCHEMA)).write_parquet(
        directory / f"{name}.rows.parquet", row_group_size=ROWS_PER_GROUP
    )
    vocabulary = pl.DataFrame({"token_id": range(len(VOCABULARY)), "token": VOCABULARY})
    vocabulary.write_parquet(directory / f"{name}.vocabulary.parquet")
    (directory / f"{name}.json").write_text(json.dumps(found))
    return directory / f"{name}.json"

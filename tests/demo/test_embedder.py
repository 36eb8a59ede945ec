"""The demo's embedder: pairs, batches and figures, on cases whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.demo.embedder_pairs import summary_pairs
from precompute.demo.embedder_quality import recall
from precompute.demo.embedder_training import EmbedderTraining, contrast
from precompute.embeddings.model_directory import DEFAULT_MODEL

LONG = "a body that is long enough to be found again by what is said above it"


def test_pairs_are_summary_and_body_each_once() -> None:
    texts = [
        f"Return the sum of all.\n\n{LONG}",
        f"Return the sum of all.\n\n{LONG} twice",
        f"Another summary here.\n\n{LONG}",
        f"short\n\n{LONG} too",
        "No body at all in this one",
        f"  A third summary line.\n\n{LONG} three\n\nand more",
    ]
    found = summary_pairs(pl.DataFrame({"text": texts, "package": list("aabbcc")}))
    assert found.rows() == [
        ("Return the sum of all.", LONG, "a"),
        ("A third summary line.", f"{LONG} three\n\nand more", "c"),
    ]


@given(st.integers(0, 7), st.integers(512, 700))
def test_a_batch_holds_runs_of_neighbours_and_an_epoch_repeats_none(seed: int, n_pairs: int) -> None:
    training = EmbedderTraining(seed=seed, pairs_per_step=64)
    batches = [training.batch(step, n_pairs) for step in range(n_pairs // 64 - 1)]
    joined = np.concatenate(batches)
    assert len(np.unique(joined)) == len(joined)
    assert joined.min() >= 0
    assert joined.max() < n_pairs
    runs = batches[0].reshape(-1, training.run_length)
    assert np.all((np.diff(runs, axis=1) == 1) | (np.diff(runs, axis=1) == 1 - n_pairs))


def test_contrast_is_cross_entropy_both_ways() -> None:
    import torch

    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(5, 3)), draw.normal(size=(5, 3))
    scores = (
        (a / np.linalg.norm(a, axis=1, keepdims=True))
        @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        / 0.1
    )
    rows = np.log(np.exp(scores).sum(1)) - np.diag(scores)
    columns = np.log(np.exp(scores).sum(0)) - np.diag(scores)
    found = contrast(torch.from_numpy(a), torch.from_numpy(b), 0.1)
    assert float(found) == pytest.approx((rows.mean() + columns.mean()) / 2)


def test_recall_counts_those_whose_own_body_is_near() -> None:
    eye = np.eye(20, dtype=np.float32)
    assert recall(eye, eye).at_1 == 1.0
    assert recall(eye, np.roll(eye, 1, axis=0)).at_1 == 0.0
    assert recall(np.ones((20, 4), np.float32), np.ones((20, 4), np.float32)).at_10 == 0.0  # all tie
    mixed = eye.copy()
    mixed[0] = eye[1]
    assert recall(mixed, eye).at_1 == pytest.approx(19 / 20)


def test_the_weights_are_small_whole_and_name_no_machine() -> None:
    files = [path for path in DEFAULT_MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 4e6
    config = json.loads((DEFAULT_MODEL / "lora_adapters" / "adapter_config.json").read_text())
    assert not Path(config["base_model_name_or_path"]).is_absolute()


@pytest.mark.full
def test_the_embedder_finds_bodies_that_mean_pooling_does_not() -> None:
    from precompute.demo.embedder_quality import measure

    summaries = [
        "Return the sum of a list of numbers.",
        "Open a file and read its text.",
        "Sort rows by a column.",
    ]
    bodies = [
        "Adds up all values given in the list and returns their total as a number.",
        "The path of the file is opened for reading; returns its whole content as a string.",
        "Rows of the table are ordered by the values in the column, ascending by default.",
    ]
    pairs = pl.DataFrame({"summary": summaries, "body": bodies})
    assert measure(DEFAULT_MODEL, pairs, "cpu").at_1 == 1.0

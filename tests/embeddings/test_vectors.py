"""Vectors against an independent computation, whatever the batches, ranks, padding side and model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from precompute.command_line import run_command
from precompute.embeddings import open_embeddings
from precompute.embeddings.__main__ import main
from precompute.embeddings.encoder import TextEncoder
from tests.embeddings.conftest import Embedder
from tests.embeddings.reference import reference_vectors

BATCH_SIZES = (1, 7, 64)


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    found = found.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return np.einsum("ij,ij->i", found, expected) / lengths


def check_set(embedder: Embedder, data_dir: Path) -> None:
    """The texts in their order, none repeated or lost, each with its vector."""
    found = open_embeddings(embedder.directory, "full", data_dir)
    assert found.metadata.collect()["text"].to_list() == embedder.texts
    assert found.vectors.shape == embedder.vectors.shape
    assert cosines(found.vectors, embedder.vectors).min() > 0.99999
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("world_size", [1, *(pytest.param(n, marks=pytest.mark.full) for n in (2, 3, 4))])
def test_ids_and_vectors_at_every_world_and_batch_size(
    embedder: Embedder, tmp_path: Path, world_size: int
) -> None:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={world_size}",
    ]
    arguments = [str(embedder.directory), str(embedder.dataset), str(tmp_path), *map(str, BATCH_SIZES)]
    done = subprocess.run(
        [*command, "-m", "tests.embeddings.several_batch_sizes", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for batch_size in BATCH_SIZES:
        check_set(embedder, tmp_path / str(batch_size))


@pytest.mark.full
def test_gpus_starts_torchrun_itself(embedder: Embedder, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert (
        embedder.run("--gpus", "2", "--shard-size", "16", "--dataset-size", "full", "--data-dir", str(data))
        == 0
    )
    check_set(embedder, data)


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
def test_pooling_and_padding_side(pristine: Embedder, pooling: str) -> None:
    encoder = TextEncoder.load(pristine.directory, pooling=pooling, device="cpu")
    expected = reference_vectors(pristine.directory, pristine.texts, pooling)
    for side in ("left", "right"):
        encoder.tokenizer.tokenizer.padding_side = side
        assert cosines(encoder.encode(pristine.texts), expected).min() > 0.99999


@pytest.mark.parametrize("max_length", [1, 3, 20])
def test_over_long_texts_are_cut(pristine: Embedder, max_length: int) -> None:
    encoder = TextEncoder.load(pristine.directory, max_length=max_length, device="cpu")
    expected = reference_vectors(pristine.directory, pristine.texts, max_length=max_length)
    assert cosines(encoder.encode(pristine.texts, token_budget=50), expected).min() > 0.99999


def test_an_adapter_of_the_trunk_is_the_adapter_of_the_whole_model(
    pristine: Embedder, tmp_path: Path
) -> None:
    from tests.embeddings.tiny_embedder import make_embedder

    directory = make_embedder(tmp_path / "trunk", prefix="base_model.model.")
    found = TextEncoder.load(directory, device="cpu").encode(pristine.texts)
    assert cosines(found, pristine.vectors).min() > 0.99999


def test_lengths_are_kept_when_asked(pristine: Embedder) -> None:
    found = TextEncoder.load(pristine.directory, normalize=False, device="cpu").encode(pristine.texts)
    assert cosines(found, pristine.vectors).min() > 0.99999
    assert np.ptp(np.linalg.norm(found, axis=1)) > 0.1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(pristine: Embedder, dtype: str) -> None:
    found = TextEncoder.load(pristine.directory, dtype=dtype, device="cpu").encode(pristine.texts)
    assert cosines(found, pristine.vectors).min() > 0.98


def test_without_adapter_and_projection(pristine: Embedder) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = pristine.directory / "base"
    texts = pristine.texts[1:30]
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        AutoTokenizer.from_pretrained(base),
    )
    expected = []
    for text in texts:
        ids = torch.tensor([tokenizer(text, split_special_tokens=True)["input_ids"]])
        with torch.no_grad():
            expected.append(model(ids, output_hidden_states=True).hidden_states[-1][0].mean(0).numpy())
    found = TextEncoder.load(base, device="cpu").encode(texts)
    assert cosines(found, np.array(expected)).min() > 0.99999


def test_memory_that_runs_out_halves_the_batch_and_drops_nothing(
    pristine: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TextEncoder.load(pristine.directory, device="cpu")
    sizes: list[int] = []
    compute = TextEncoder._vectors

    def scarce(self: TextEncoder, batch: object) -> object:
        sizes.append(batch.token_ids.size)
        if sizes[-1] > 600:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        return compute(self, batch)

    monkeypatch.setattr(TextEncoder, "_vectors", scarce)
    assert cosines(encoder.encode(pristine.texts, token_budget=4000), pristine.vectors).min() > 0.99999
    assert sizes[0] > 600
    assert sum(size > 600 for size in sizes) <= 4  # learnt at the start, not at every batch


def test_a_sentence_encoder_directory(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from tests.embeddings.sentence_encoder import make_sentence_encoder

    directory = make_sentence_encoder(tmp_path / "bert")
    texts = ["", "list of words", "x", "the file " * 90, "é ü 你"]
    model, tokenizer = AutoModel.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)
    for pooling in ("mean", "cls"):
        (directory / "1_Pooling" / "config.json").write_text(
            json.dumps(
                {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
            )
        )
        expected = []
        for text in texts:
            given = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
            with torch.no_grad():
                states = model(**given).last_hidden_state[0].numpy()
            expected.append(states.mean(0) if pooling == "mean" else states[0])
        found = TextEncoder.load(directory, device="cpu").encode(texts)
        assert cosines(found, np.array(expected)).min() > 0.99999


def test_more_gpus_than_there_are_is_an_error(embedder: Embedder, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    arguments = ["--model-dir", str(embedder.directory), "--dataset", str(embedder.dataset)]
    assert run_command(main, [*arguments, "--gpus", str(max(1, torch.cuda.device_count()) + 1)]) == 2
    assert run_command(main, [*arguments, "--gpus", "many"]) == 2
    assert "--gpus many" in capsys.readouterr().err

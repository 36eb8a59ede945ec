"""Model directories: what is promised must be there, pickles need permission, old folders are converted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from precompute.command_line import run_command
from precompute.embeddings import open_embeddings
from precompute.embeddings.__main__ import main
from precompute.embeddings.demo_directory import write
from precompute.embeddings.encoder import TextEncoder
from precompute.embeddings.freshness import Freshness
from precompute.embeddings.legacy_folder import convert
from precompute.embeddings.model_directory import DEFAULT_MODEL, find_files
from precompute.embeddings.search import search
from precompute.errors import ModelError
from tests.embeddings.conftest import Embedder
from tests.embeddings.test_vectors import cosines


@pytest.mark.parametrize(
    "part",
    [
        "lora_adapters",
        "lora_adapters/adapter_config.json",
        "lora_adapters/adapter_model.safetensors",
        "projection.safetensors",
        "base",
    ],
)
def test_a_promised_part_that_is_missing_is_an_error(
    embedder: Embedder, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = embedder.directory / part
    path.rename(path.with_name("elsewhere"))
    assert embedder.run() == 2
    message = capsys.readouterr().err
    assert message.startswith("lightwell: ")
    assert message.count("\n") == 1
    assert not (embedder.directory / "embeddings" / "toy" / "embeddings.npy").exists()


@pytest.mark.parametrize("name", ["lora_adapters/adapter_model.safetensors", "projection.safetensors"])
def test_a_weight_that_is_missing_or_of_another_shape_is_an_error(embedder: Embedder, name: str) -> None:
    from safetensors.numpy import load_file, save_file

    path = embedder.directory / name
    tensors = load_file(path)
    first = sorted(tensors)[-1]
    for changed in (
        {k: v for k, v in tensors.items() if k != first},
        {**tensors, first: tensors[first][:, :-1].copy()},
    ):
        save_file(changed, path)
        with pytest.raises(ModelError):
            TextEncoder.load(embedder.directory, device="cpu")


def test_no_adapter_and_no_projection_are_fine_where_none_is_promised(embedder: Embedder) -> None:
    (embedder.directory / "embedder.json").write_text(json.dumps({"base_model": "base"}))
    (embedder.directory / "projection.safetensors").unlink()
    files = find_files(embedder.directory)
    assert files.projection is None
    assert files.adapter is not None
    assert TextEncoder.load(embedder.directory, device="cpu").d == 32


def to_pickles(embedder: Embedder) -> None:
    """Turn the directory into one of the older kind."""
    import torch
    from safetensors.torch import load_file

    adapter = embedder.directory / "lora_adapters"
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    torch.save(load_file(embedder.directory / "projection.safetensors"), embedder.directory / "projection.pt")
    (adapter / "adapter_model.safetensors").unlink()
    (embedder.directory / "projection.safetensors").unlink()


def test_pickles_need_permission(embedder: Embedder) -> None:
    to_pickles(embedder)
    with pytest.raises(ModelError, match="--allow-legacy-weights"):
        TextEncoder.load(embedder.directory, device="cpu")
    encoder = TextEncoder.load(embedder.directory, device="cpu", allow_legacy_weights=True)
    assert cosines(encoder.encode(embedder.texts), embedder.vectors).min() > 0.99999


def test_code_in_a_pickle_does_not_run(embedder: Embedder, tmp_path: Path) -> None:
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "harm",)

    (embedder.directory / "projection.safetensors").unlink()
    (embedder.directory / "projection.pt").write_bytes(pickle.dumps({"weight": Harm()}))
    with pytest.raises(ModelError, match="cannot be read"):
        TextEncoder.load(embedder.directory, device="cpu", allow_legacy_weights=True)
    assert not (tmp_path / "harm").exists()


def to_folder(embedder: Embedder, n_rows: int = 101) -> None:
    """Add embeddings and metadata as such folders have them."""
    import torch

    to_pickles(embedder)
    torch.save(torch.from_numpy(embedder.vectors.astype(np.float32)), embedder.directory / "embeddings.pt")
    rows = [{"text": text, "paper_title": f"p{i}"} for i, text in enumerate(embedder.texts[:n_rows])]
    (embedder.directory / "metadata.json").write_text(json.dumps(rows))


def test_an_existing_folder_is_converted_once(embedder: Embedder) -> None:
    to_folder(embedder)
    arguments = ["import", str(embedder.directory), "--allow-legacy-weights"]
    assert run_command(main, arguments[:2]) == 2
    assert run_command(main, arguments) == 0
    found = open_embeddings(embedder.directory, "full")
    assert np.array_equal(found.vectors, embedder.vectors.astype(np.float32))
    assert found.metadata.collect()["paper_title"].to_list() == [f"p{i}" for i in range(101)]
    assert Freshness(found).status("embeddings").state == "fresh"
    encoder = TextEncoder.load(embedder.directory, device="cpu")
    assert cosines(encoder.encode(embedder.texts), embedder.vectors).min() > 0.99999
    assert search(found, embedder.texts[30], 1)["row"].to_list() == [30]


def test_rows_and_metadata_that_disagree_are_refused(embedder: Embedder) -> None:
    to_folder(embedder, n_rows=100)
    with pytest.raises(ModelError, match=r"101 rows beside metadata\.json with 100"):
        convert(embedder.directory, allow_legacy_weights=True)
    assert not (embedder.directory / "projection.safetensors").exists()


@pytest.mark.skipif(not DEFAULT_MODEL.is_dir(), reason="the demo's embedder is not trained yet")
def test_the_demo_becomes_a_directory_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path / "demo")
    texts = ["Return the sum of a list.", "", "Open a file for reading."]
    own = TextEncoder.load(tmp_path / "demo", device="cpu")
    assert np.array_equal(own.encode(texts), TextEncoder.load(DEFAULT_MODEL, device="cpu").encode(texts))
    size = sum(p.stat().st_size for p in DEFAULT_MODEL.rglob("*") if p.is_file())
    assert size <= 4e6

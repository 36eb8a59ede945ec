"""Text autoencoders: what they write and read, against plain passes; damaged checkpoints are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.stats import chisquare

from precompute.demo.autoencoder_model import Explainer, Moments, Reconstructor
from precompute.errors import ModelError
from precompute.models.text_autoencoder.checkpoint import read_checkpoint, write_header
from precompute.models.text_autoencoder.lora import LoraAutoencoder
from precompute.models.text_autoencoder.protocol import TextAutoencoder, row_seeds
from precompute.models.text_autoencoder.registry import load_text_autoencoder
from tests.made_autoencoder import N_TOKENS, make_autoencoder
from tests.tiny import D_MODEL


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("text_autoencoder")
    make_autoencoder(made)
    return made


@pytest.fixture(scope="module")
def loaded(root: Path) -> LoraAutoencoder:
    found = load_text_autoencoder(root / "autoencoder", batch_size=16)
    assert isinstance(found, LoraAutoencoder)
    return found


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 2.0, (n, D_MODEL)).astype(np.float32)


def test_it_computes_what_was_trained(root: Path, loaded: LoraAutoencoder) -> None:
    """Adapters merged, in float16: the logits and vectors of the modules that training runs."""
    torch.manual_seed(0)
    explainer = Explainer(root / "lm", 4, Moments(torch.randn(D_MODEL), 1.5))
    reconstructor = Reconstructor(root / "lm", 4, D_MODEL)
    for part in (explainer, reconstructor):
        for name, parameter in part.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, 0.0, 0.05)
    x = vectors(5)
    tokens = loaded.explain(x, 2, 0.0, 0)
    with torch.no_grad():
        written = torch.from_numpy(tokens[:, 0]).long()
        scores = explainer.eval().logits(torch.from_numpy(x), written)
        assert (scores.argmax(-1) == written).float().mean() > 0.9
        expected = reconstructor.eval()(written).numpy()
    np.testing.assert_allclose(loaded.reconstruct(tokens[:, 0]), expected, rtol=0.02, atol=0.02)


def test_a_sample_depends_on_vector_seed_and_number_alone(loaded: LoraAutoencoder) -> None:
    x, seeds = vectors(9), row_seeds(1, ["t"] * 9, [0] * 9, range(9))
    whole = loaded.explain(x, 8, 1.0, seeds)
    assert whole.shape == (9, 8, N_TOKENS)
    assert len(np.unique(whole.reshape(72, -1), axis=0)) > 30
    np.testing.assert_array_equal(loaded.explain(x, 5, 1.0, seeds, first=3), whole[:, 3:])
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_array_equal(loaded.explain(x[order], 8, 1.0, seeds[order]), whole[order])
    for batch_size in (1, 5, 64):
        other = LoraAutoencoder(**{**vars(loaded), "batch_size": batch_size})
        np.testing.assert_array_equal(other.explain(x, 8, 1.0, seeds), whole)
        np.testing.assert_allclose(other.reconstruct(whole), loaded.reconstruct(whole), rtol=1e-4, atol=1e-5)
    assert (loaded.explain(x, 8, 1.0, seeds + np.uint64(1)) != whole).any()


def test_samples_follow_the_softmax_at_a_temperature(root: Path, loaded: LoraAutoencoder) -> None:
    x, temperature, n = vectors(1), 0.7, 4000
    first = loaded.explain(x, n, temperature, 3)[0, :, 0]
    with torch.no_grad():
        logits = loaded.writer(inputs_embeds=loaded._begin(torch.from_numpy(x))).logits[0, -1].float()
    expected = n * (logits / temperature).softmax(0).double().numpy()
    counts = np.bincount(first, minlength=len(expected))
    often = expected > 20
    tail = [counts[~often].sum(), expected[~often].sum()]
    observed, hoped = np.append(counts[often], tail[0]), np.append(expected[often], tail[1])
    assert chisquare(observed, hoped * observed.sum() / hoped.sum()).pvalue > 1e-3


def test_others_may_implement_the_protocol(loaded: LoraAutoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from precompute.models.text_autoencoder import registry

    as_protocol: TextAutoencoder = loaded
    monkeypatch.setattr(registry, "KINDS", {"mine": lambda *_: as_protocol})
    header = loaded.checkpoint.header.model_copy(update={"kind": "mine"})
    mine = type(loaded.checkpoint)(loaded.checkpoint.directory, header)
    assert load_text_autoencoder(mine) is loaded
    with pytest.raises(ModelError, match="'other'; expected one of mine"):
        load_text_autoencoder(type(mine)(mine.directory, header.model_copy(update={"kind": "other"})))


def damaged(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "lm", tmp_path / "lm")
    return Path(shutil.copytree(root / "autoencoder", tmp_path / "copy"))


@pytest.mark.parametrize(
    ("hurt", "message"),
    [
        (lambda d: (d / "maps.safetensors").unlink(), "without maps.safetensors"),
        (lambda d: (d / "config.json").unlink(), "no config.json"),
        (lambda d: (d / "config.json").write_text("{}"), "another format"),
        (lambda d: (d / "config.json").write_text("{"), "cannot be read"),
        (shutil.rmtree, "does not exist"),
    ],
)
def test_what_is_not_whole_is_refused(root: Path, tmp_path: Path, hurt: object, message: str) -> None:
    copy = damaged(root, tmp_path)
    hurt(copy)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        read_checkpoint(copy)


def test_a_changed_byte_and_a_short_file_are_found(root: Path, tmp_path: Path) -> None:
    copy = damaged(root, tmp_path)
    path = copy / "explainer" / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelError, match="does not match its checksum"):
        read_checkpoint(copy)
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelError, match=r"of [\d,]+ bytes; expected [\d,]+"):
        read_checkpoint(copy)


def test_maps_of_another_shape_and_unknown_keys_are_refused(root: Path, tmp_path: Path) -> None:
    copy = damaged(root, tmp_path)
    header = json.loads((copy / "config.json").read_text())
    maps = load_file(copy / "maps.safetensors")
    maps["readout.bias"] = maps["readout.bias"][:-1].copy()
    save_file(maps, copy / "maps.safetensors")
    write_header(copy, header)
    with pytest.raises(ModelError, match="readout_bias"):
        load_text_autoencoder(copy)
    (copy / "config.json").write_text(json.dumps({**header, "n_token": 3}))
    with pytest.raises(ModelError, match="n_token"):
        read_checkpoint(copy)

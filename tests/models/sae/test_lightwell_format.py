"""This project's own SAE format: storage types, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from precompute.errors import SAEFormatError
from precompute.models.sae.header import PARAMETERS
from precompute.models.sae.registry import ARCHITECTURES, load_sae, read_header, sae_files
from tests.models.random_models import D_MODEL, D_SAE, save_sae


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_written_and_read_again(tmp_path, architecture):
    sae = load_sae(save_sae(tmp_path, architecture=architecture, prepend_bos=False))
    again = load_sae(save_sae(tmp_path, architecture=architecture, prepend_bos=False))
    assert sae.header == again.header == read_header(tmp_path)
    assert set(sae.weights) == set(PARAMETERS[architecture])
    for name, weight in sae.weights.items():
        assert torch.equal(weight, again.weights[name])
        assert weight.dtype == torch.float32


def test_int8_has_one_scale_a_latent(tmp_path):
    exact = load_sae(save_sae(tmp_path / "a"))
    coarse = load_sae(save_sae(tmp_path / "b", storage="int8"))
    stored = load_file(tmp_path / "b" / "sae.safetensors")
    assert stored["W_enc"].dtype == stored["W_dec"].dtype == torch.int8
    assert stored["W_enc_scale"].shape == stored["W_dec_scale"].shape == (D_SAE,)
    half_step = exact.W_dec.abs().amax(dim=1, keepdim=True) / 127 / 2
    assert ((exact.W_dec - coarse.W_dec).abs() <= half_step * 1.001).all()
    torch.testing.assert_close(coarse.W_enc, stored["W_enc"].float() * stored["W_enc_scale"])


def test_float16(tmp_path):
    exact, half = load_sae(save_sae(tmp_path / "a")), load_sae(save_sae(tmp_path / "b", storage="float16"))
    torch.testing.assert_close(half.W_enc, exact.W_enc.half().float())


def rewrite(directory, **changes):
    path = directory / "sae.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in (config | changes).items() if v is not ...}))


REFUSED = [
    ({"format_version": 2}, "version 2"),
    ({"architecture": "transcoder"}, "transcoder"),
    ({"k": ...}, "k = None"),
    ({"k": 0}, "k = 0"),
    ({"k": D_SAE + 1}, "at most d_sae"),
    ({"d_in": D_MODEL + 1}, "shape"),
    ({"d_sae": "many"}, "d_sae = 'many'"),
    ({"storage": "int4"}, "int4"),
    ({"storage": "int8"}, "W_enc_scale"),
    ({"normalize_activations": "whitening"}, "whitening"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_refused_in_one_line(tmp_path, changes, words):
    rewrite(save_sae(tmp_path), **changes)
    with pytest.raises(SAEFormatError, match=words) as error:
        read_header(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_configuration_that_is_no_json(tmp_path, content):
    (save_sae(tmp_path) / "sae.json").write_bytes(content)
    with pytest.raises(SAEFormatError, match=r"sae.json"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:4], lambda b: b"\xff" * len(b), lambda _: b""]
)
def test_corrupt_weights(tmp_path, damage):
    path = save_sae(tmp_path) / "sae.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SAEFormatError, match=r"sae.safetensors that cannot be read as safetensors"):
        read_header(tmp_path)


def test_weights_missing(tmp_path):
    (save_sae(tmp_path) / "sae.safetensors").unlink()
    with pytest.raises(SAEFormatError, match=r"no file .*sae.safetensors"):
        read_header(tmp_path)


def test_directory_without_an_sae(tmp_path):
    with pytest.raises(SAEFormatError, match="no SAE"):
        read_header(tmp_path)
    with pytest.raises(SAEFormatError, match="does not exist"):
        read_header(tmp_path / "nowhere" / "at" / "all")


def test_a_file_in_place_of_the_directory(tmp_path):
    with pytest.raises(SAEFormatError, match="give the directory"):
        read_header(save_sae(tmp_path) / "sae.safetensors")


def test_files_of_an_sae(tmp_path):
    save_sae(tmp_path)
    (tmp_path / "notes.txt").write_text("not part of it")
    assert [path.name for path in sae_files(tmp_path)] == ["sae.json", "sae.safetensors"]


def test_header_is_read_without_torch(tmp_path):
    save_sae(tmp_path)
    code = (
        "import sys; from precompute.models.sae.registry import read_header;"
        f"read_header({str(tmp_path)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

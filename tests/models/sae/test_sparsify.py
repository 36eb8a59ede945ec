"""EleutherAI's sparsify is the oracle: what it saves must encode and decode to the same values."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from precompute.errors import SAEFormatError
from precompute.models.sae.registry import load_sae, read_header

# Where torch has brought Triton, the library decodes by it, for which it needs a GPU.
os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sparsify import SparseCoder, SparseCoderConfig

D_IN, D_SAE, K = 12, 48, 5


def saved(directory: Path, **config) -> Path:
    """A sparse coder of random weights, none of them zero."""
    torch.manual_seed(1)
    coder = SparseCoder(D_IN, SparseCoderConfig(**{"num_latents": D_SAE, "k": K, **config}))
    for parameter in coder.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4
    coder.save_to_disk(directory)
    return directory


@pytest.mark.parametrize("sizes", [{"num_latents": D_SAE}, {"num_latents": 0, "expansion_factor": 4}])
def test_encodes_and_decodes_as_the_library_does(tmp_path, sizes):
    directory = saved(tmp_path / "layers.3", **sizes)
    theirs, ours = SparseCoder.load_from_disk(directory), load_sae(directory)
    x = torch.randn(50, D_IN) + 0.5
    with torch.no_grad():
        top = theirs.encode(x)
        acts = torch.zeros(50, D_SAE).scatter_(1, top.top_indices, top.top_acts)
        expected = theirs.decode(top.top_acts, top.top_indices)
    torch.testing.assert_close(ours.encode_dense(x), acts, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.decode(ours.encode(x)), expected, rtol=1e-5, atol=1e-5)


def test_header(tmp_path):
    header = read_header(saved(tmp_path / "layers.3"))
    assert (header.format, header.architecture, header.k) == ("sparsify", "topk", K)
    assert (header.d_in, header.d_sae) == (D_IN, D_SAE)


SITES = {
    "layers.10": "blocks.10.hook_resid_post",
    "h.0": "blocks.0.hook_resid_post",
    "gpt_neox.layers.3": "blocks.3.hook_resid_post",
    "layers_7": "blocks.7.hook_resid_post",
    "embed_tokens": "hook_embed",
    # What a module adds is not what reaches the stream where a norm follows it, so the user must say.
    "layers.3.mlp": None,
    "best": None,
}


@pytest.mark.parametrize("folder", SITES)
def test_capture_site_from_the_folder(tmp_path, folder):
    assert read_header(saved(tmp_path / folder)).hook_name == SITES[folder]


REFUSED = [
    ({"transcode": True}, "transcoder"),
    ({"skip_connection": True}, "skip connection"),
    ({"signed": True}, "signed"),
    ({"activation": "groupmax"}, "groupmax"),
    ({"k": 0}, "k = 0"),
    ({"k": D_SAE + 1}, "at most d_sae"),
    ({"d_in": D_IN + 1}, "shape"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_refused_by_name(tmp_path, changes, words):
    path = saved(tmp_path / "layers.3") / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(SAEFormatError, match=words) as error:
        read_header(tmp_path / "layers.3")
    assert "\n" not in str(error.value)


def test_saved_without_its_decoder(tmp_path):
    path = saved(tmp_path) / "sae.safetensors"
    save_file({name: value for name, value in load_file(path).items() if name != "W_dec"}, path)
    with pytest.raises(SAEFormatError, match="W_dec"):
        read_header(tmp_path)

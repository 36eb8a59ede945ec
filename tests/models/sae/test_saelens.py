"""SAELens's own library is the oracle: the same directory must encode and decode to the same values."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from precompute.errors import SAEFormatError
from precompute.models.sae.registry import load_sae, read_header

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sae_lens import (
        GatedSAE,
        GatedSAEConfig,
        JumpReLUSAE,
        JumpReLUSAEConfig,
        StandardSAE,
        StandardSAEConfig,
        TopKSAE,
        TopKSAEConfig,
    )
    from sae_lens.saes.sae import SAEMetadata

D_IN, D_SAE, K = 12, 40, 5
KINDS = {
    "standard": (StandardSAE, StandardSAEConfig, {}),
    "topk": (TopKSAE, TopKSAEConfig, {"k": K}),
    "topk_rescaled": (TopKSAE, TopKSAEConfig, {"k": K, "rescale_acts_by_decoder_norm": True}),
    "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig, {}),
    "gated": (GatedSAE, GatedSAEConfig, {}),
}
NORMALIZATIONS = ["none", "expected_average_only_in", "constant_norm_rescale", "layer_norm"]


def random_sae(kind, normalize="none", apply_b_dec=True, **metadata):
    """A SAELens SAE of random weights, none of them zero."""
    sae_class, config_class, options = KINDS[kind]
    config = config_class(
        d_in=D_IN,
        d_sae=D_SAE,
        normalize_activations=normalize,
        apply_b_dec_to_input=apply_b_dec,
        metadata=SAEMetadata(**{"hook_name": "blocks.1.hook_resid_post", "prepend_bos": False, **metadata}),
        **options,
    )
    torch.manual_seed(3)
    sae = sae_class(config)
    for name, parameter in sae.named_parameters():
        parameter.data = torch.randn_like(parameter) * (0.3 if name != "threshold" else 0.1)
    return sae


def saved(sae, path: Path) -> Path:
    sae.save_model(path)
    return path


@pytest.mark.parametrize("apply_b_dec", [True, False])
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_encode_and_decode_as_the_library_does(tmp_path, kind, normalize, apply_b_dec):
    directory = saved(random_sae(kind, normalize, apply_b_dec), tmp_path)
    theirs = KINDS[kind][0].load_from_disk(directory)
    ours = load_sae(directory)
    x = torch.randn(50, D_IN) * 3 + 0.5
    with torch.no_grad():
        acts = theirs.encode(x)
        expected = theirs.decode(acts)
    torch.testing.assert_close(ours.encode_dense(x), acts, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.decode(ours.encode(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_directions_are_what_decode_adds(tmp_path, kind):
    """The difference that one unit more of a feature makes, before a row's own scale."""
    directory = saved(random_sae(kind), tmp_path)
    theirs = KINDS[kind][0].load_from_disk(directory)
    with torch.no_grad():
        difference = theirs.decode(torch.eye(D_SAE)) - theirs.decode(torch.zeros(1, D_SAE))
    torch.testing.assert_close(load_sae(directory).decoder_directions(), difference, rtol=1e-4, atol=1e-5)


def test_header_of_new_versions(tmp_path):
    header = read_header(saved(random_sae("topk_rescaled"), tmp_path))
    assert (header.format, header.architecture, header.d_in, header.d_sae) == ("saelens", "topk", D_IN, D_SAE)
    assert (header.hook_name, header.prepend_bos, header.k) == ("blocks.1.hook_resid_post", False, K)
    assert header.rescale_acts_by_decoder_norm


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_model_with_centered_weights(tmp_path, normalize):
    """Such a model's vectors have mean 0; on the plain model's the mean is taken off, and put back."""
    options = {"center_writing_weights": True}
    directory = saved(random_sae("topk", normalize), tmp_path)
    assert not read_header(directory).center_activations
    path = directory / "cfg.json"
    config = json.loads(path.read_text())
    config["metadata"]["model_from_pretrained_kwargs"] = options
    path.write_text(json.dumps(config))
    theirs = TopKSAE.load_from_disk(
        rewrite(directory, metadata=config["metadata"] | {"model_from_pretrained_kwargs": {}})
    )
    path.write_text(json.dumps(config))
    ours = load_sae(directory)
    assert ours.header.center_activations
    x = torch.randn(30, D_IN) + 2
    mean = x.mean(-1, keepdim=True)
    with torch.no_grad():
        acts = theirs.encode(x - mean)
        expected = theirs.decode(acts) + mean
    torch.testing.assert_close(ours.encode_dense(x), acts, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.decode(ours.encode(x)), expected, rtol=1e-5, atol=1e-5)


def test_header_without_metadata(tmp_path):
    sae = random_sae("standard")
    sae.cfg.metadata = SAEMetadata()
    header = read_header(saved(sae, tmp_path))
    assert header.hook_name is None
    assert header.prepend_bos


def rewrite(directory: Path, **changes) -> Path:
    path = directory / "cfg.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in (config | changes).items() if v is not ...}))
    return directory


def test_header_of_versions_before_6(tmp_path):
    directory = rewrite(
        saved(random_sae("topk"), tmp_path),
        metadata=...,
        architecture=...,
        k=...,
        activation_fn_str="topk",
        activation_fn_kwargs={"k": K},
        hook_point="blocks.0.hook_resid_pre",
        prepend_bos=False,
        normalize_activations=False,
    )
    theirs = TopKSAE.load_from_disk(directory)
    header = read_header(directory)
    assert (header.architecture, header.k, header.hook_name) == ("topk", K, "blocks.0.hook_resid_pre")
    assert not header.prepend_bos
    x = torch.randn(9, D_IN)
    with torch.no_grad():
        torch.testing.assert_close(load_sae(directory).encode_dense(x), theirs.encode(x))


REFUSED = [
    {"architecture": "transcoder"},
    {"architecture": "skip_transcoder"},
    {"architecture": "cross_layer_transcoder"},
    {"architecture": "temporal"},
    {"architecture": "matching_pursuit"},
    {"architecture": "batchtopk"},
    {"architecture": "abstopk"},
    {"normalize_activations": "covariance_whitening"},
    {"reshape_activations": "hook_z"},
    {"activation_fn": "tanh-relu"},
]


@pytest.mark.parametrize("changes", REFUSED, ids=lambda c: next(iter(c.values())))
def test_unsupported_kinds_are_refused_by_name(tmp_path, changes):
    directory = rewrite(saved(random_sae("standard"), tmp_path), **changes)
    name = next(iter(changes.values())).replace("hook_z", "attention heads")
    with pytest.raises(SAEFormatError, match=name):
        read_header(directory)


def test_batch_top_k_without_threshold_is_refused(tmp_path):
    directory = rewrite(saved(random_sae("standard"), tmp_path), architecture="jumprelu")
    with pytest.raises(SAEFormatError, match="threshold"):
        read_header(directory)


@pytest.mark.parametrize("key", ["d_in", "d_sae"])
def test_widths_are_checked_against_the_weights(tmp_path, key):
    directory = rewrite(saved(random_sae("standard"), tmp_path), **{key: 7})
    with pytest.raises(SAEFormatError, match="shape"):
        read_header(directory)


def test_corrupt_weights_give_one_clear_line(tmp_path):
    directory = saved(random_sae("standard"), tmp_path)
    path = directory / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SAEFormatError, match=r"sae_weights.safetensors that cannot be read as safetensors"):
        load_sae(directory)


def test_pickle_is_refused_by_name(tmp_path):
    directory = saved(random_sae("standard"), tmp_path)
    (directory / "sae_weights.safetensors").rename(directory / "sae_weights.pt")
    with pytest.raises(SAEFormatError, match=r"the pickle sae_weights.pt"):
        read_header(directory)


def test_silent_rows_decode_to_the_bias(tmp_path):
    sae = random_sae("standard")
    sae.b_enc.data[:] = -1e6
    ours = load_sae(saved(sae, tmp_path))
    x = torch.randn(4, D_IN)
    np.testing.assert_allclose(ours.decode(ours.encode(x)).numpy(), np.tile(sae.b_dec.detach(), (4, 1)))

"""Gemma Scope's files, with SAELens's JumpReLU as the oracle of what they mean."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from precompute.errors import SAEFormatError
from precompute.models.sae.registry import load_sae, read_header, sae_files

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

D_IN, D_SAE = 12, 40


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {
        "W_enc": torch.randn(D_IN, D_SAE) * 0.4,
        "W_dec": torch.randn(D_SAE, D_IN) * 0.4,
        "b_enc": torch.randn(D_SAE) * 0.2,
        "b_dec": torch.randn(D_IN),
        "threshold": torch.rand(D_SAE) * 0.5,
    }


def saved_npz(directory: Path, **arrays: torch.Tensor) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    np.savez(directory / "params.npz", **{name: value.numpy() for name, value in arrays.items()})
    return directory


def saved_safetensors(directory: Path, **arrays: torch.Tensor) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    lower = {name.lower() if name.startswith("W_") else name: value for name, value in arrays.items()}
    save_file(lower, directory / "params.safetensors")
    return directory


def library_sae(arrays: dict[str, torch.Tensor]) -> JumpReLUSAE:
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=D_IN, d_sae=D_SAE, apply_b_dec_to_input=False))
    sae.load_state_dict(arrays)
    return sae


@pytest.mark.parametrize("save", [saved_npz, saved_safetensors])
def test_encodes_and_decodes_as_saelens_does(tmp_path, save):
    arrays = weights()
    theirs, ours = library_sae(arrays), load_sae(save(tmp_path / "layer_3", **arrays))
    x = torch.randn(60, D_IN) * 2
    with torch.no_grad():
        acts = theirs.encode(x)
        torch.testing.assert_close(ours.encode_dense(x), acts, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.decode(ours.encode(x)), theirs.decode(acts), rtol=1e-5, atol=1e-5)
    assert 0 < (acts > 0).float().mean() < 1


SITES = {
    "gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82": "blocks.12.hook_resid_post",
    "gemma-scope-9b-pt-mlp-canonical/layer_3/width_16k/canonical": "blocks.3.hook_mlp_out",
    "models--google--gemma-scope-2b-pt-res/snapshots/ab12/layer_0/width_1m/average_l0_9": (
        "blocks.0.hook_resid_post"
    ),
    "gemma-scope-2-1b-pt/resid_post/layer_22_width_65k_l0_medium": "blocks.22.hook_resid_post",
    "gemma-scope-2-1b-pt/mlp_out_all/layer_2_width_16k_l0_small": "blocks.2.hook_mlp_out",
    "somewhere/else": None,
    "somewhere/layer_3": None,
}


@pytest.mark.parametrize("folder", SITES)
def test_capture_site_from_the_folders(tmp_path, folder):
    header = read_header(saved_npz(tmp_path / folder, **weights()))
    assert header.hook_name == SITES[folder]
    assert (header.format, header.architecture, header.d_in, header.d_sae) == (
        "gemma_scope", "jumprelu", D_IN, D_SAE,
    )  # fmt: skip
    assert not header.apply_b_dec_to_input


def test_the_file_itself_may_be_named(tmp_path):
    directory = saved_npz(tmp_path, **weights())
    assert read_header(directory / "params.npz") == read_header(directory)
    assert sae_files(directory) == (directory / "params.npz",)


REFUSED = {
    "gemma-scope-2b-pt-transcoders/layer_1/width_16k/average_l0_9": "a transcoder",
    "gemma-scope-2-1b-pt/transcoder_all/layer_1_width_16k": "a transcoder",
    "gemma-scope-2-1b-pt/clt/layer_1_width_16k": "a cross-layer transcoder",
    "gemma-scope-2b-pt-att/layer_1/width_16k/average_l0_9": "attention heads",
    "gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6": "embeddings",
}


@pytest.mark.parametrize("folder", REFUSED)
def test_what_is_no_sae_of_the_residual_basis_is_refused_by_name(tmp_path, folder):
    with pytest.raises(SAEFormatError, match=REFUSED[folder]) as error:
        read_header(saved_npz(tmp_path / folder, **weights()))
    assert "\n" not in str(error.value)


def test_skip_connection_is_refused_whatever_the_folder_says(tmp_path):
    skip = torch.zeros(D_IN, D_IN)
    directory = saved_safetensors(tmp_path, **weights(), affine_skip_connection=skip)
    with pytest.raises(SAEFormatError, match="transcoder"):
        read_header(directory)


@pytest.mark.parametrize("name", ["W_enc", "threshold"])
def test_array_that_is_absent(tmp_path, name):
    arrays = {key: value for key, value in weights().items() if key != name}
    with pytest.raises(SAEFormatError, match=r"no (array|matrix)"):
        read_header(saved_npz(tmp_path, **arrays))


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda _: b"", lambda b: b"\xff" * len(b)])
def test_damaged_file_gives_one_line(tmp_path, damage):
    path = saved_npz(tmp_path, **weights()) / "params.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SAEFormatError, match="cannot be read as arrays"):
        read_header(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "params.npz", W_enc=np.array([object()], dtype=object))
    with pytest.raises(SAEFormatError):
        load_sae(tmp_path)

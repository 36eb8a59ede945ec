"""SAEs in pickles: only where allowed, tensors alone, and as their published equations say."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from precompute.errors import SAEFormatError
from precompute.models.sae.__main__ import main
from precompute.models.sae.registry import load_sae, make_readable, read_header, sae_files
from tests.conftest import run
from tests.tiny import D_MODEL as M
from tests.tiny import D_SAE as D
from tests.tiny import make_all

D_IN, D_SAE, K = 10, 36, 4
GENERATOR = torch.Generator().manual_seed(7)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWELL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR) * 0.4


X = np.random.default_rng(3).normal(size=(40, D_IN)) + 0.3


def relu(value):
    return np.maximum(value, 0)


def top_k(value, k):
    """The k largest of each row, and zeros."""
    kept = np.zeros_like(value)
    best = np.argsort(-value, axis=1)[:, :k]
    np.put_along_axis(kept, best, np.take_along_axis(value, best, axis=1), axis=1)
    return kept


def float64(state):
    return {name: np.asarray(v, dtype=np.float64) for name, v in state.items() if torch.is_tensor(v)}


# dictionary_learning: state of each class, and what it makes of X, after dictionary.py and trainers/.


def linear_state(bias_name: str) -> dict[str, torch.Tensor]:
    return {
        "encoder.weight": rand(D_SAE, D_IN),
        "encoder.bias": rand(D_SAE),
        "decoder.weight": rand(D_IN, D_SAE),
        bias_name: rand(D_IN),
    }


def own_state() -> dict[str, torch.Tensor]:
    return {"W_enc": rand(D_IN, D_SAE), "b_enc": rand(D_SAE), "W_dec": rand(D_SAE, D_IN), "b_dec": rand(D_IN)}


def gated_state() -> dict[str, torch.Tensor]:
    return {
        "encoder.weight": rand(D_SAE, D_IN),
        "decoder.weight": rand(D_IN, D_SAE),
        "decoder_bias": rand(D_IN),
        "r_mag": rand(D_SAE),
        "gate_bias": rand(D_SAE),
        "mag_bias": rand(D_SAE),
    }


def auto_encoder(s):
    norms = np.linalg.norm(s["decoder.weight"], axis=0)
    acts = relu((X - s["bias"]) @ (s["encoder.weight"] * norms[:, None]).T + s["encoder.bias"] * norms)
    return acts, acts @ (s["decoder.weight"] / norms).T + s["bias"]


def auto_encoder_new(s):
    acts = relu(X @ s["encoder.weight"].T + s["encoder.bias"])
    return acts, acts @ s["decoder.weight"].T + s["decoder.bias"]


def gated(s):
    projected = (X - s["decoder_bias"]) @ s["encoder.weight"].T
    magnitude = relu(np.exp(s["r_mag"]) * projected + s["mag_bias"])
    acts = magnitude * (projected + s["gate_bias"] > 0)
    return acts, acts @ s["decoder.weight"].T + s["decoder_bias"]


def top_k_encoder(s):
    acts = top_k(relu((X - s["b_dec"]) @ s["encoder.weight"].T + s["encoder.bias"]), K)
    return acts, acts @ s["decoder.weight"].T + s["b_dec"]


def jump_relu(s):
    pre = X @ s["W_enc"] + s["b_enc"]
    acts = relu(pre * (pre > s["threshold"]))
    return acts, acts @ s["W_dec"] + s["b_dec"]


def batch_top_k(s):
    acts = relu((X - s["b_dec"]) @ s["encoder.weight"].T + s["encoder.bias"])
    acts = acts * (acts > s["threshold"])
    return acts, acts @ s["decoder.weight"].T + s["b_dec"]


def matryoshka(s):
    acts = relu((X - s["b_dec"]) @ s["W_enc"] + s["b_enc"])
    acts = acts * (acts > s["threshold"])
    return acts, acts @ s["W_dec"] + s["b_dec"]


SCALAR = {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.35)}
DICTIONARIES = {
    "AutoEncoder": (lambda: linear_state("bias"), auto_encoder),
    "AutoEncoderNew": (lambda: linear_state("decoder.bias"), auto_encoder_new),
    "GatedAutoEncoder": (gated_state, gated),
    "AutoEncoderTopK": (lambda: linear_state("b_dec") | SCALAR, top_k_encoder),
    "JumpReluAutoEncoder": (lambda: own_state() | {"threshold": rand(D_SAE).abs()}, jump_relu),
    "BatchTopKSAE": (lambda: linear_state("b_dec") | SCALAR, batch_top_k),
    "MatryoshkaBatchTopKSAE": (
        lambda: own_state() | SCALAR | {"group_sizes": torch.tensor([D_SAE])},
        matryoshka,
    ),
}


def saved_dictionary(directory: Path, name: str, state, **trainer) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    torch.save(state, directory / "ae.pt")
    described = {
        "dict_class": name,
        "activation_dim": D_IN,
        "dict_size": D_SAE,
        "k": K,
        "layer": 5,
        "lm_name": "EleutherAI/pythia-70m",
        "submodule_name": "resid_post_layer_5",
        **trainer,
    }
    config = {"trainer": described, "buffer": {"d_submodule": D_IN, "ctx_len": 128}}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def allowed(source: Path):
    make_readable(source, allow_legacy_weights=True)
    return load_sae(source)


def agrees(sae, acts, x_hat):
    x = torch.from_numpy(X).float()
    np.testing.assert_allclose(sae.encode_dense(x).numpy(), acts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sae.decode(sae.encode(x)).numpy(), x_hat, rtol=1e-4, atol=1e-4)
    assert 0 < (acts > 0).mean() < 1


@pytest.mark.parametrize("name", DICTIONARIES)
def test_dictionary_learning(tmp_path, name):
    make, equations = DICTIONARIES[name]
    state = make()
    sae = allowed(saved_dictionary(tmp_path / "sae", name, state))
    agrees(sae, *equations(float64(state)))
    assert sae.header.hook_name == "blocks.5.hook_resid_post"


def test_a_feature_without_a_direction_stays_without_one(tmp_path):
    state = linear_state("bias")
    state["decoder.weight"][:, 3] = 0
    sae = allowed(saved_dictionary(tmp_path / "sae", "AutoEncoder", state))
    assert (sae.W_dec[3] == 0).all()
    assert all(torch.isfinite(weight).all() for weight in sae.weights.values())


@pytest.mark.parametrize("submodule", ["mlp_layer_5", "attn_layer_5"])
def test_a_dictionary_of_another_submodule_does_not_guess_its_site(tmp_path, submodule):
    state = linear_state("b_dec") | SCALAR
    source = saved_dictionary(tmp_path / "sae", "BatchTopKSAE", state, submodule_name=submodule)
    assert allowed(source).header.hook_name is None


UNTRAINED = {"threshold": torch.tensor(-1.0)}
REFUSED = [
    ("IdentityDict", linear_state("bias"), "IdentityDict"),
    (
        "BatchTopKSAE",
        linear_state("b_dec") | SCALAR | {"threshold": torch.tensor(-1.0)},
        "without its thresh",
    ),
    ("AutoEncoder", linear_state("b_dec"), "no array 'bias'"),
    (None, linear_state("bias"), "None"),
]


@pytest.mark.parametrize(("name", "state", "words"), REFUSED)
def test_a_dictionary_that_is_refused(tmp_path, cache, name, state, words):
    source = saved_dictionary(tmp_path / "sae", name, state)
    with pytest.raises(SAEFormatError, match=words):
        make_readable(source, allow_legacy_weights=True)
    assert not [path for path in (cache / "saes").iterdir() if path.name != ".locks"]


# OpenAI's sparse_autoencoder, after model.py.


def openai_state(**more) -> dict[str, object]:
    return {
        "pre_bias": rand(D_IN),
        "latent_bias": rand(D_SAE),
        "encoder.weight": rand(D_SAE, D_IN),
        "decoder.weight": rand(D_IN, D_SAE),
        "stats_last_nonzero": torch.zeros(D_SAE, dtype=torch.long),
        **more,
    }


def openai(s, k=None):
    shift, scale = 0.0, 1.0
    if k is not None:
        shift, scale = X.mean(1, keepdims=True), X.std(1, ddof=1, keepdims=True)
    x = (X - shift) / (scale + 1e-5) if k is not None else X
    pre = (x - s["pre_bias"]) @ s["encoder.weight"].T + s["latent_bias"]
    acts = relu(pre) if k is None else relu(top_k(pre, k))
    decoder = s.get("decoder.weight", s["encoder.weight"].T)
    return acts, (acts @ decoder.T + s["pre_bias"]) * scale + shift


TOP_K = {"activation": "TopK", "activation_state_dict": {"k": K, "postact_fn": "ReLU"}}


@pytest.mark.parametrize("more", [{}, {"activation": "ReLU"}, TOP_K], ids=["silent", "relu", "topk"])
def test_openai(tmp_path, more):
    path = tmp_path / "resid_post_mlp_v5_32k" / "autoencoders" / "8.pt"
    path.parent.mkdir(parents=True)
    state = openai_state(**more)
    torch.save(state, path)
    sae = allowed(path)
    agrees(sae, *openai(float64(state), K if more == TOP_K else None))
    assert sae.header.hook_name == "blocks.8.hook_resid_post"


def test_openai_with_a_tied_decoder(tmp_path):
    state = openai_state()
    state["decoder.linear.weight"] = state["encoder.weight"]
    del state["decoder.weight"]
    torch.save(state, tmp_path / "tied.pt")
    sae = allowed(tmp_path / "tied.pt")
    agrees(sae, *openai(float64(state)))
    assert sae.header.hook_name is None


@pytest.mark.parametrize(
    "more",
    [{"activation": "Identity"}, TOP_K | {"activation_state_dict": {"k": K, "postact_fn": "Identity"}}],
)
def test_an_activation_of_openai_that_is_refused(tmp_path, more):
    torch.save(openai_state(**more), tmp_path / "8.pt")
    with pytest.raises(SAEFormatError, match="Identity, which is not supported"):
        make_readable(tmp_path / "8.pt", allow_legacy_weights=True)


# SplatNLP's pair, after monosemantic_sae/models.py.


@pytest.mark.parametrize("nested", [False, True])
def test_splatnlp(tmp_path, nested):
    state = {
        "usage_ema": torch.zeros(D_SAE),
        "decoder_bias": rand(D_IN),
        "encoder.weight": rand(D_SAE, D_IN),
        "encoder.bias": rand(D_SAE),
        "decoder.weight": rand(D_IN, D_SAE),
        "decoder.bias": rand(D_IN),
    }
    torch.save({"output_layer.weight": rand(7, D_IN), "embedding.weight": rand(7, 3)}, tmp_path / "model.pth")
    torch.save({"model_state_dict": state, "epoch": 3} if nested else state, tmp_path / "sae_model.pth")
    s = float64(state)
    acts = relu((X - s["decoder_bias"]) @ s["encoder.weight"].T + s["encoder.bias"])
    columns = s["decoder.weight"] / np.linalg.norm(s["decoder.weight"], axis=0)
    agrees(allowed(tmp_path), acts, acts @ columns.T + s["decoder_bias"])


# What holds of all of them.


def test_without_permission_the_line_says_how_to_give_it(tmp_path):
    source = saved_dictionary(tmp_path / "sae", "AutoEncoder", linear_state("bias"))
    make_readable(source)
    for read in (read_header, load_sae, sae_files):
        with pytest.raises(SAEFormatError, match=r"the pickle ae.pt.*--allow-legacy-weights") as error:
            read(source)
        assert "\n" not in str(error.value)


def test_once_converted_it_needs_no_permission_until_it_changes(tmp_path):
    source = saved_dictionary(tmp_path / "sae", "AutoEncoder", linear_state("bias"))
    first = allowed(source)
    assert {path.suffix for path in sae_files(source)} == {".json", ".safetensors"}
    changed = linear_state("bias") | {"encoder.bias": torch.full((D_SAE,), 2.0)}
    saved_dictionary(source, "AutoEncoder", changed)
    with pytest.raises(SAEFormatError, match="allow-legacy-weights"):
        load_sae(source)
    assert not torch.equal(first.weights["b_enc"], allowed(source).weights["b_enc"])


def test_code_in_a_pickle_never_runs(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "sae").mkdir()
    (tmp_path / "sae" / "ae.pt").write_bytes(pickle.dumps({"encoder.weight": Evil()}))
    with pytest.raises(SAEFormatError, match="cannot be read"):
        make_readable(tmp_path / "sae", allow_legacy_weights=True)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_something_else(tmp_path):
    torch.save({"weight": rand(3)}, tmp_path / "optimizer.pt")
    with pytest.raises(SAEFormatError, match="no SAE of a known format"):
        make_readable(tmp_path, allow_legacy_weights=True)


def test_the_command_describes_converts_and_copies(tmp_path, capsys):
    source = saved_dictionary(tmp_path / "sae", "AutoEncoderTopK", linear_state("b_dec") | SCALAR)
    copy = tmp_path / "copy"
    assert main([str(source), "--allow-legacy-weights", "--to", str(copy)]) == 0
    said = capsys.readouterr().out
    assert "topk, k = 4, 36 features of 10 dimensions, on blocks.5.hook_resid_post" in said
    assert torch.equal(load_sae(copy).W_dec, load_sae(source).W_dec)
    with pytest.raises(SAEFormatError, match="a path that is free"):
        main([str(source), "--to", str(copy)])


def test_header_of_a_conversion_is_read_without_torch(tmp_path):
    source = saved_dictionary(tmp_path / "sae", "AutoEncoder", linear_state("bias"))
    make_readable(source, allow_legacy_weights=True)
    code = (
        "import sys; from precompute.models.sae.registry import read_header;"
        f"read_header({str(source)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_orchestrator_takes_the_switch_once(tmp_path, capsys):
    files = make_all(tmp_path / "mine", n_texts=30)
    shutil.rmtree(files.sae)
    shape = {"encoder.weight": (D, M), "encoder.bias": (D,), "decoder.weight": (M, D), "bias": (M,)}
    saved_dictionary(files.sae, "AutoEncoder", {name: rand(*each) for name, each in shape.items()}, layer=1)
    assert run(files, "--plan") == 2
    assert "--allow-legacy-weights" in capsys.readouterr().err
    assert run(files, "--only", "feature_stats", "--allow-legacy-weights") == 0
    assert run(files, "--only", "histograms") == 0


@pytest.mark.parametrize(
    ("submodule", "site"),
    [
        ("resid_pre_layer_5", "pre"),
        ("resid_mid", "mid"),
        ("resid_out5", "post"),
        ("resid_post_layer_5", "post"),
    ],
)
def test_a_dictionary_says_where_in_the_residual_stream(tmp_path, submodule, site):
    state = linear_state("b_dec") | SCALAR
    source = saved_dictionary(tmp_path / "sae", "BatchTopKSAE", state, submodule_name=submodule)
    assert allowed(source).header.hook_name == f"blocks.5.hook_resid_{site}"


def test_of_several_saes_in_a_directory_none_is_chosen(tmp_path):
    for layer in (0, 1):
        torch.save(openai_state(), tmp_path / f"{layer}.pt")
    with pytest.raises(
        SAEFormatError, match=r"several SAEs, such as 0\.pt and 1\.pt; .*name the file itself"
    ):
        make_readable(tmp_path, allow_legacy_weights=True)


@pytest.mark.parametrize("content", [b"title,foo\n", b"hello", b"", b"\x80\x02."])
def test_bytes_that_are_no_pickle(tmp_path, content):
    (tmp_path / "sae.bin").write_bytes(content)
    with pytest.raises(SAEFormatError, match="cannot be read"):
        make_readable(tmp_path, allow_legacy_weights=True)

"""Step activations against a slow float64 model, one example at a time; and the laws of DESIGN 5."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from precompute.errors import ModelError, SAEFormatError, UsageError
from precompute.features import activations
from precompute.models.encoding import SAEReader
from precompute.models.sae.registry import load_sae
from precompute.stores.row_store import RowStore
from tests.builders import dense_matrix, step_context
from tests.models.random_models import (
    D_MODEL,
    D_SAE,
    model_type,
    random_examples,
    save_model,
    save_sae,
    write_windows,
)

N_EXAMPLES = 264
EXAMPLES = random_examples(N_EXAMPLES)
FEW = 30
"""Examples where each takes a forward pass of its own."""


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    root = tmp_path_factory.mktemp("subject")
    write_windows(root / "windows.parquet", EXAMPLES)
    write_windows(root / "few.parquet", EXAMPLES[:FEW])
    return root, model_type(save_model("llama", root / "lm"), save_sae(root / "sae"))


def compute(subject, out, settings=None, chosen=None, few=False, **operations) -> RowStore:
    root, kind = subject
    files = {"windows.parquet": root / ("few.parquet" if few else "windows.parquet")}
    context = step_context(out, files, settings, model_type=chosen or kind, **operations)
    activations.run(context)
    return RowStore(out / "activations")


@pytest.fixture(scope="module")
def store(subject, tmp_path_factory):
    return compute(subject, tmp_path_factory.mktemp("store"))


@cache
def exact_model(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64).eval()


def oracle(directory, sae_directory, example, layer=1):
    """Activations of one example in float64: dense acts, vectors at the site, and at the final norm."""
    model, seen = exact_model(directory), {}
    model.model.layers[layer].register_forward_hook(lambda _m, _a, out: seen.update(x=out[0]))
    model.model.norm.register_forward_pre_hook(lambda _m, args: seen.update(last=args[0][0]))
    with torch.no_grad():
        model(torch.tensor([example]))
    x, last = seen["x"][1:].numpy(), seen["last"][1:].numpy()
    weights = {k: v.double().numpy() for k, v in load_sae(sae_directory).weights.items()}
    pre = (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
    acts = np.zeros_like(pre)
    for row, line in enumerate(pre):
        top = np.argsort(-line)[:4]
        acts[row, top] = np.maximum(line[top], 0)
    sigma = np.sqrt((last**2).mean(-1) + model.config.rms_norm_eps)
    return acts, x, sigma


def test_equals_the_slow_reference(subject, store):
    root, _ = subject
    dense = dense_matrix(store)
    for example in (0, 1, 2, 100, 255, 256, 263):
        acts, x, _ = oracle(root / "lm", root / "sae", EXAMPLES[example])
        rows = store.example_rows(example)
        np.testing.assert_allclose(dense[rows.start : rows.stop], acts, rtol=1e-4, atol=1e-5)
        shard, local = divmod(example, 256)
        mean = store.values(shard, "example_means")[local]
        expected = x.mean(0) if len(x) else np.zeros(D_MODEL)
        np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)


def test_rows_are_the_positions_that_are_not_special(store):
    expected = [(e, p) for e, tokens in enumerate(EXAMPLES) for p in range(1, len(tokens))]
    found = store.locate(np.arange(store.n_rows))
    assert list(zip(found.example.tolist(), found.position.tolist(), strict=True)) == expected
    for example in (0, 17, 263):
        assert store.example_tokens(example).tolist() == EXAMPLES[example]
    assert (store.n_examples, store.n_shards, store.d_sae) == (N_EXAMPLES, 2, D_SAE)


def test_inverse_sigma_sums_over_rows(subject, store):
    root, _ = subject
    expected = [1 / oracle(root / "lm", root / "sae", EXAMPLES[e])[2] for e in range(256, N_EXAMPLES)]
    found = np.asarray(store.array(1, "inverse_sigma")[:])
    np.testing.assert_allclose(found, [np.concatenate(expected).sum(), sum(map(len, expected))], rtol=1e-5)


def test_of_a_large_corpus_every_nth_example_is_read_to_the_end(subject, store, tmp_path, monkeypatch):
    root, _ = subject
    monkeypatch.setattr(activations, "EXAMPLES_TO_THE_END", 88)
    found = compute(subject, tmp_path / "out")
    every = N_EXAMPLES // 88
    assert every > 1
    for number in range(found.n_shards):
        own = range(number * 256, min(N_EXAMPLES, (number + 1) * 256))
        inverse = [1 / oracle(root / "lm", root / "sae", EXAMPLES[e])[2] for e in own if e % every == 0]
        expected = [np.concatenate(inverse).sum(), sum(map(len, inverse))]
        one, two = found.load(number), store.load(number)
        np.testing.assert_allclose(one.inverse_sigma, expected, rtol=1e-5)
        for name in ("token_ids", "position", "example", "indptr", "features"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_allclose(one.acts, two.acts, rtol=1e-4)
        np.testing.assert_allclose(one.example_means, two.example_means, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batch_size_changes_nothing_but_rounding(subject, tmp_path, batch_size):
    store = compute(subject, tmp_path / "64", few=True)
    other = compute(subject, tmp_path / "other", few=True, batch_size=batch_size)
    for number in range(store.n_shards):
        one, two = store.load(number), other.load(number)
        for name in ("token_ids", "example_indptr", "position", "example", "indptr", "features"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_allclose(one.acts, two.acts, rtol=1e-4)
        np.testing.assert_allclose(one.example_means, two.example_means, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.inverse_sigma, two.inverse_sigma, rtol=1e-6)


def files_of(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_again_gives_the_same_bytes(subject, store, tmp_path):
    compute(subject, tmp_path)
    assert files_of(tmp_path / "activations") == files_of(store.root)


def test_interrupted_run_goes_on(subject, store, tmp_path):
    out = tmp_path / "activations"
    shutil.copytree(store.root, out)
    (out / "store.json").unlink()
    shutil.rmtree(out / "parts" / "00001")
    kept = out / "parts" / "00000" / "acts.npy"
    before = kept.stat().st_mtime_ns
    for leftover in ("example_row_indptr.npy",):
        (out / leftover).unlink()
    compute(subject, tmp_path)
    assert kept.stat().st_mtime_ns == before
    assert files_of(out) == files_of(store.root)


def test_only_the_features_asked_for(subject, store, tmp_path):
    some = compute(subject, tmp_path, {"features": (5, 20)})
    expected = dense_matrix(store)
    expected[:, :5] = expected[:, 20:] = 0
    np.testing.assert_array_equal(dense_matrix(some), expected)
    assert some.d_sae == D_SAE


def test_float16(subject, store, tmp_path):
    half = compute(subject, tmp_path, chosen=subject[1].model_copy(update={"acts_dtype": "float16"}))
    np.testing.assert_array_equal(dense_matrix(half), dense_matrix(store).astype(np.float16))


def test_float16_that_overflows_is_an_error(subject, tmp_path):
    root, kind = subject
    sae = load_sae(root / "sae")
    from precompute.models.sae.lightwell_format import save

    save(tmp_path / "sae", sae.header, sae.weights | {"b_enc": sae.weights["b_enc"] + 1e5}, "float32")
    chosen = kind.model_copy(update={"sae": str(tmp_path / "sae"), "acts_dtype": "float16"})
    with pytest.raises(UsageError, match="float16"):
        compute(subject, tmp_path / "out", chosen=chosen)


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt_neox"])
def test_padding_leaks_into_no_row(subject, tmp_path, family):
    """Alone or among longer examples: the same values."""
    root, _ = subject
    chosen = model_type(save_model(family, tmp_path / "lm"), root / "sae")
    one = compute(subject, tmp_path / "one", chosen=chosen, few=True, batch_size=1)
    many = compute(subject, tmp_path / "many", chosen=chosen, few=True, batch_size=64)
    np.testing.assert_allclose(dense_matrix(many), dense_matrix(one), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_centering_is_for_layer_norms(tmp_path, family):
    """TransformerLens leaves an RMSNorm model as it is."""
    sae = save_sae(tmp_path / "sae", center_activations=True)
    reader = SAEReader.load(model_type(save_model(family, tmp_path / "lm"), sae), "cpu")
    assert reader.sae.centers == (family == "gpt2")


REFUSED = [
    ({"d_in": D_MODEL + 1}, SAEFormatError, "d_in = 17"),
    ({"hook_name": "blocks.9.hook_resid_post"}, ModelError, r"blocks.9"),
    ({"hook_name": None}, SAEFormatError, "does not say where it reads"),
]


@pytest.mark.parametrize(("changes", "error", "words"), REFUSED)
def test_bad_input_leaves_nothing_behind(subject, tmp_path, changes, error, words):
    chosen = subject[1].model_copy(update={"sae": str(save_sae(tmp_path / "sae", **changes))})
    with pytest.raises(error, match=words):
        compute(subject, tmp_path / "out", chosen=chosen)
    assert list((tmp_path / "out").iterdir()) == []


def test_activations_that_are_not_finite_are_an_error(subject, tmp_path):
    from safetensors.torch import load_file, save_file

    root, kind = subject
    shutil.copytree(root / "lm", tmp_path / "lm")
    path = tmp_path / "lm" / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        compute(subject, tmp_path / "out", chosen=kind.model_copy(update={"model": str(tmp_path / "lm")}))

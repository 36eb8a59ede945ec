"""Loading models and adapters: what is missing, pickled or random is refused in one line."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from precompute.errors import ModelError
from precompute.models.hub import resolve_directory
from precompute.models.language_model import load_language_model, load_tokenizer, resolve_model_directory
from precompute.models.preflight import check_model_type
from tests.models.random_models import D_MODEL, D_VOCAB, N_LAYERS, model_type, save_model, save_sae

TOKENS = torch.tensor([[3, 9, 4], [5, 5, 6]])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    save_model("llama", root / "lm")
    save_sae(root / "sae")
    return root


@pytest.fixture
def root(source, tmp_path):
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    return tmp_path


def subject(root, **changes):
    return model_type(root / "lm", root / "sae", **changes)


def rewrite_weights(root, change):
    path = root / "lm" / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def test_model_is_loaded_ready_to_look_into(root):
    loaded = load_language_model(subject(root), "cpu")
    assert (loaded.d_model, loaded.sites.n_layers, loaded.device) == (D_MODEL, N_LAYERS, "cpu")
    assert not loaded.model.training
    logits = loaded.logits(TOKENS, torch.ones_like(TOKENS))
    torch.testing.assert_close(logits, AutoModelForCausalLM.from_pretrained(root / "lm")(TOKENS).logits)


def test_dtype(root):
    loaded = load_language_model(subject(root, dtype="bfloat16"), "cpu")
    assert next(loaded.model.parameters()).dtype == torch.bfloat16


def test_missing_weights_are_never_invented(root):
    rewrite_weights(root, lambda w: {k: v for k, v in w.items() if "layers.1.mlp.up" not in k})
    with pytest.raises(ModelError, match=r"model.layers.1.mlp.up_proj.weight"):
        load_language_model(subject(root), "cpu")


def test_weights_of_another_shape_are_refused(root):
    rewrite_weights(root, lambda w: w | {"model.norm.weight": torch.ones(3)})
    with pytest.raises(ModelError, match=r"model.norm.weight|size mismatch"):
        load_language_model(subject(root), "cpu")


def test_truncated_weights(root):
    path = root / "lm" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_language_model(subject(root), "cpu")


def test_pickle_is_refused_by_name(root):
    (root / "lm" / "model.safetensors").rename(root / "lm" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"the pickle pytorch_model.bin"):
        resolve_model_directory(str(root / "lm"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c"])
def test_path_that_does_not_exist(name):
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model_directory(name)


def test_directory_without_a_model(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json"):
        resolve_model_directory(str(tmp_path))


def test_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_args, **_kwargs):
        raise LocalEntryNotFoundError("long\ntraceback")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match="cannot be had from the hub") as error:
        resolve_model_directory("owner/name", "main")
    assert "\n" not in str(error.value)


def test_hub_snapshots_hold_no_pickle_and_no_code(monkeypatch, root):
    import huggingface_hub

    asked = {}

    def download(source, revision, repo_type, allow_patterns):
        asked.update(source=source, revision=revision, kind=repo_type, patterns=allow_patterns)
        return str(root / "lm")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_model_directory("owner/name", "v1") == root / "lm"
    assert (asked["source"], asked["revision"], asked["kind"]) == ("owner/name", "v1", "model")
    assert not any(pattern.endswith((".py", ".bin", ".pt", "*")) for pattern in asked["patterns"])
    assert resolve_directory("owner/pairs", None, "pairs", ModelError, "dataset") == root / "lm"
    assert (asked["source"], asked["kind"]) == ("owner/pairs", "dataset")
    assert all(pattern.endswith((".jsonl", ".gz", ".parquet", ".csv")) for pattern in asked["patterns"])


def test_model_without_tokenizer(root):
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(str(root / "lm"))


def save_adapter(root):
    """A LoRA adapter with random weights, and its low-rank update of one matrix."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(root / "lm"), config)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter)
    adapted.save_pretrained(root / "adapter")
    return root / "adapter"


def test_adapter_is_merged(root):
    adapter = save_adapter(root)
    plain = load_language_model(subject(root), "cpu").model.state_dict()
    merged = load_language_model(subject(root, adapter=str(adapter)), "cpu").model.state_dict()
    low_rank = load_file(adapter / "adapter_model.safetensors")
    for name, weight in merged.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        update = 0
        if f"{stem}A.weight" in low_rank:
            update = 6 / 2 * low_rank[f"{stem}B.weight"] @ low_rank[f"{stem}A.weight"]
        torch.testing.assert_close(weight, plain[name] + update)
    assert sum("lora_A" in name for name in low_rank) == N_LAYERS


def test_adapter_without_a_promised_weight(root):
    path = save_adapter(root) / "adapter_model.safetensors"
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != name}, path)
    with pytest.raises(ModelError, match=name):
        load_language_model(subject(root, adapter=str(root / "adapter")), "cpu")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_adapter_without_a_promised_file(root, name):
    (save_adapter(root) / name).unlink()
    for load in (check_model_type, load_language_model):
        with pytest.raises(ModelError, match=name):
            load(subject(root, adapter=str(root / "adapter")))


def test_preflight_reads_what_the_files_say(root):
    checked = check_model_type(subject(root))
    assert (checked.d_model, checked.n_layers, checked.d_vocab) == (D_MODEL, N_LAYERS, D_VOCAB)
    assert checked.hook_name == "blocks.1.hook_resid_post"
    assert {path.name for path in checked.sae_files} == {"sae.json", "sae.safetensors"}


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2", "opt"])
def test_preflight_knows_other_families(root, family):
    shutil.rmtree(root / "lm")
    save_model(family, root / "lm")
    checked = check_model_type(subject(root))
    assert (checked.d_model, checked.n_layers, checked.d_vocab) == (D_MODEL, N_LAYERS, D_VOCAB)


def test_preflight_without_a_width(root):
    path = root / "lm" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in config.items() if k != "hidden_size"}))
    with pytest.raises(ModelError, match="without hidden_size"):
        check_model_type(subject(root))

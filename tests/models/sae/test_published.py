"""Published SAEs by name: SAELens's own loader, on a hub that is a directory of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from precompute.config import load_config
from precompute.errors import SAEFormatError
from precompute.models.sae import published
from precompute.models.sae.registry import load_sae, make_readable, read_header
from tests.models.sae.test_saelens import D_IN, D_SAE, K, random_sae

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from huggingface_hub.errors import EntryNotFoundError
    from sae_lens import SAE, StandardSAE
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.loading import pretrained_saes_directory as listed

NAME = "sae_lens:my-release/blocks.1.hook_resid_post"
REPOSITORY = "owner/saes"


def release(repo_id: str = REPOSITORY, conversion: str | None = None):
    return listed.PretrainedSAELookup(
        release="my-release",
        repo_id=repo_id,
        model="a-model",
        conversion_func=conversion,
        saes_map={"blocks.1.hook_resid_post": "layer_1", "other": "layer_2"},
        expected_var_explained={},
        expected_l0={},
        neuronpedia_id={},
        norm_scaling_factor={"blocks.1.hook_resid_post": 0.5},
        config_overrides=None,
    )


@pytest.fixture(name="hub")
def hub_fixture(tmp_path, monkeypatch) -> Path:
    """A directory in the hub's place, with one release in SAELens's list."""
    hub = tmp_path / "hub"

    def download(repo_id, filename, subfolder=None, **_options):
        path = hub / repo_id / (subfolder or "") / filename
        if not path.is_file():
            raise EntryNotFoundError(f"no {filename} in {repo_id}")
        return str(path)

    monkeypatch.setattr(loaders, "hf_hub_download", download)
    use_release(monkeypatch, release())
    monkeypatch.setenv("LIGHTWELL_CACHE", str(tmp_path / "cache"))
    # A process of its own would know nothing of this hub.
    monkeypatch.setattr(published.subprocess, "run", in_this_process)
    return hub


def use_release(monkeypatch, entry) -> None:
    for module in (loaders, listed):
        monkeypatch.setattr(module, "get_pretrained_saes_directory", lambda: {"my-release": entry})
    monkeypatch.setitem(SAE.from_pretrained.__func__.__globals__, "get_pretrained_saes_directory",
                        lambda: {"my-release": entry})  # fmt: skip


def in_this_process(command, **_options):
    from precompute.command_line import run_command
    from precompute.models.sae.__main__ import main

    class Done:
        returncode = run_command(main, command[3:])
        stderr = ""

    return Done


@pytest.mark.parametrize("kind", ["standard", "topk", "jumprelu", "gated"])
def test_loads_what_the_library_loads(hub, kind):
    random_sae(kind).save_model(hub / REPOSITORY / "layer_1")
    theirs = SAE.from_pretrained("my-release", "blocks.1.hook_resid_post")
    ours = load_sae(NAME)
    x = torch.randn(30, D_IN)
    with torch.no_grad():
        acts = theirs.encode(x)
        torch.testing.assert_close(ours.encode_dense(x), acts, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.decode(ours.encode(x)), theirs.decode(acts), rtol=1e-5, atol=1e-5)
    assert ours.header.hook_name == "blocks.1.hook_resid_post"
    assert (ours.d_sae, ours.header.k) == (D_SAE, K if kind == "topk" else None)


def test_the_scaling_that_the_list_holds_is_folded_in(hub):
    random_sae("standard", "expected_average_only_in").save_model(hub / REPOSITORY / "layer_1")
    plain = StandardSAE.load_from_disk(hub / REPOSITORY / "layer_1")
    ours = load_sae(NAME)
    torch.testing.assert_close(ours.W_enc, plain.W_enc.data * 0.5)
    assert ours.header.normalize_activations == "none"


def test_fetched_once(hub, monkeypatch):
    random_sae("standard").save_model(hub / REPOSITORY / "layer_1")
    first = read_header(NAME)
    (hub / REPOSITORY / "layer_1" / "cfg.json").unlink()
    monkeypatch.setattr(published.subprocess, "run", None)
    assert read_header(NAME) == first
    assert load_sae(NAME).header == first


REFUSED = [
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "temporal",
    "matching_pursuit",
    "abstopk",
]


@pytest.mark.parametrize("architecture", REFUSED)
def test_an_architecture_is_refused_by_name_before_its_weights_are_fetched(hub, architecture):
    directory = hub / REPOSITORY / "layer_1"
    random_sae("standard").save_model(directory)
    config = json.loads((directory / "cfg.json").read_text()) | {"architecture": architecture}
    (directory / "cfg.json").write_text(json.dumps(config))
    (directory / "sae_weights.safetensors").unlink()
    with pytest.raises(SAEFormatError, match=f"architecture '{architecture}'"):
        make_readable(NAME)


@pytest.mark.parametrize("loader", sorted(published.PICKLED_LOADERS))
def test_a_pickle_is_not_fetched_without_permission(hub, monkeypatch, loader):
    assert loader in loaders.NAMED_PRETRAINED_SAE_LOADERS
    use_release(monkeypatch, release(conversion=loader))
    with pytest.raises(SAEFormatError, match="--allow-legacy-weights") as error:
        make_readable(NAME)
    assert "\n" not in str(error.value)


def test_every_loader_that_unpickles_is_known_as_one():
    import inspect

    unpickling = {
        name
        for name, loader in loaders.NAMED_PRETRAINED_SAE_LOADERS.items()
        if "torch.load(" in inspect.getsource(loader)
    }
    assert unpickling == published.PICKLED_LOADERS


@pytest.mark.parametrize("name", ["sae_lens:", "sae_lens:release", "sae_lens:/id", "sae_lens:release/"])
def test_a_name_that_lacks_a_half(name):
    with pytest.raises(SAEFormatError, match="RELEASE/ID"):
        read_header(name)


def test_a_hub_id_is_divided_by_a_colon():
    assert published.published("sae_lens:owner/name:a/b") == ("owner/name", "a/b")
    assert published.published("sae_lens:release/a/b") == ("release", "a/b")


@pytest.mark.parametrize("name", ["sae_lens:my-release/nothing", "sae_lens:no-such-release/x"])
def test_a_name_that_the_list_does_not_hold(hub, name):
    with pytest.raises(SAEFormatError, match="cannot load"):
        make_readable(name)


def test_a_hub_that_cannot_be_reached_leaves_nothing(hub, tmp_path):
    with pytest.raises(SAEFormatError, match="cannot load"):
        make_readable(NAME)
    assert [path.name for path in (tmp_path / "cache" / "saes").iterdir()] == [".locks"]


def test_without_the_package_the_line_says_what_to_install(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(SAEFormatError, match=r"pip install -e '.\[sae-lens\]'"):
        make_readable(NAME)


@pytest.mark.full
def test_the_one_that_asks_loads_no_torch_and_hears_why(tmp_path):
    """In a process of its own, without a hub."""
    code = (
        "import sys\n"
        "from precompute.errors import SAEFormatError\n"
        "from precompute.models.sae.registry import read_header\n"
        "try: read_header('sae_lens:no-such-release/x')\n"
        "except SAEFormatError as error: print(error)\n"
        "sys.exit('torch' in sys.modules)"
    )
    environment = {"LIGHTWELL_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "no-such-release" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_configuration_may_name_it(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(f'[model_types.m]\nmodel = "lm"\nsae = "{NAME}"\ncorpus = {{ builtin = true }}\n')
    assert load_config(path).model_type("m").sae == NAME

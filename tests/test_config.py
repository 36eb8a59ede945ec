"""A configuration is read whole, or refused in one line that says what to do."""

from pathlib import Path

import pytest

from precompute.config import load_config
from precompute.errors import ConfigError

GOOD = """
[model_types.mine]
model = "lm"
sae = "./sae"
storage = "zarr"
[model_types.mine.corpus]
path = "texts.jsonl"
n_ctx = 64
held_out = { source = "wiki" }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    mine = load_config(write(tmp_path, GOOD)).model_type("mine")
    assert mine.model == str(tmp_path / "lm")
    assert mine.sae == str(tmp_path / "sae")
    assert mine.corpus.path == str(tmp_path / "texts.jsonl")
    assert mine.corpus.held_out == {"source": ("wiki",)}


def test_a_name_that_is_no_path_is_a_hub_id(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, GOOD)).model_type("mine").model == "lm"


def test_the_built_in_types_are_always_there(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert sorted(config.model_types) == ["full", "mine", "ultra"]
    assert config.model_type("ultra").storage == "zarr"
    assert Path(config.model_type("full").model).is_absolute()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("storage", "storag"), "unknown key 'storag' in [model_types.mine] (did you mean 'storage'?)"),
        (("n_ctx", "nctx"), "unknown key 'nctx' in [model_types.mine.corpus] (did you mean 'n_ctx'?)"),
        (('"zarr"', '"hdf5"'), "model_types.mine.storage = 'hdf5'"),
        (("= 64", "= 1"), "model_types.mine.corpus.n_ctx = 1"),
        (("= 64", '= "many"'), "model_types.mine.corpus.n_ctx = 'many'"),
        (('path = "texts.jsonl"', ""), "corpus with none of path, dataset and builtin"),
        (("n_ctx", "builtin = true\nn_ctx"), "corpus with path and builtin"),
        (("n_ctx", 'dataset = "a/b"\nn_ctx'), "corpus with path and dataset"),
        (("n_ctx", "token_sets = true\nn_ctx"), "corpus with token_sets alone"),
        (('model = "lm"', ""), "model_types.mine.model"),
        (("[model_types.mine]", "[model_types.mine"), "cannot be read"),
        (
            ("[model_types.mine]\n", "[modeltypes.mine]\n"),
            "unknown key 'modeltypes' (did you mean 'model_types'?)",
        ),
        (("[model_types.mine]", '[model_types."../x"]'), "model type named '../x'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = GOOD.replace(*change)
    if "../x" in change[1]:
        text = text.replace("[model_types.mine.corpus]", '[model_types."../x".corpus]')
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text))
    assert message in str(raised.value)
    assert "expected" in str(raised.value)


def test_an_unknown_model_type_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown model type 'ulta' \(did you mean 'ultra'\?\).*full, ultra"
    ):
        load_config().model_type("ulta")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "none.toml")


def test_sources_and_pairs_of_density_are_added_to_those_built_in(tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    own = '[density.sources]\nsft = "lm"\nmid = "owner/name"\n[density.pairs]\nhh = "./hh"\n'
    density = load_config(write(tmp_path, own)).density
    assert density.sources["sft"] == str(tmp_path / "lm")
    assert density.sources["mid"] == "owner/name"
    assert Path(density.sources["base"]).is_dir()
    assert density.pairs["hh"] == str(tmp_path / "hh")


@pytest.mark.parametrize(
    "wrong", ["[density]\nsource = 1\n", '[density.sources]\nbase = ["a"]\n', "density = 3\n"]
)
def test_a_density_table_that_is_not_understood_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"density.* that is not understood"):
        load_config(write(tmp_path, wrong))

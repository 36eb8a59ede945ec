"""Encoders without an output layer: what needs one says that it does not apply, and the rest works."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from precompute import open_artifacts
from precompute.config import load_config
from precompute.errors import NotApplicableError
from precompute.models.encoding import SAEReader
from precompute.models.interventions import Intervention, intervene
from precompute.models.language_model import has_output_layer, load_language_model
from precompute.models.opened import OpenedModel
from tests.conftest import run
from tests.models.encoder_models import ENCODERS, make_encoder
from tests.models.random_models import FAMILIES, save_model
from tests.tiny import TinyFiles, make_all

WITHOUT = {"influences", "token_influences", "logit_stats", "sae_quality"}


@pytest.fixture(name="encoders", scope="module")
def encoders_fixture(tmp_path_factory) -> dict[str, TinyFiles]:
    """Model types whose language model is an encoder, by family."""
    made = make_all(tmp_path_factory.mktemp("decoder"), n_texts=60)
    found = {}
    for family in ENCODERS:
        found[family] = TinyFiles(tmp_path_factory.mktemp(family))
        shutil.copytree(made.root, found[family].root, dirs_exist_ok=True)
        make_encoder(family, found[family].model)
    return found


@pytest.mark.parametrize("family", ENCODERS)
def test_every_other_step_is_computed(encoders, family):
    files = encoders[family]
    assert run(files) == 0
    artifacts = open_artifacts("mine", files.root / "data", files.config)
    states = {status.step: status.state for status in artifacts.status()}
    assert {step for step, state in states.items() if state == "not applicable"} == WITHOUT
    assert {state for step, state in states.items() if step not in WITHOUT} == {"fresh"}
    reason = next(status.reason for status in artifacts.status() if status.step == "influences")
    assert "no output layer" in reason


def test_an_encoder_sees_what_comes_after(encoders):
    """Its activations at a token change with the tokens behind it, unlike those of a decoder."""

    def first_row(family: str, *token_ids: int):
        reader = SAEReader.load(load_config(encoders[family].config).model_type("mine"), "cpu")
        rows = reader.encode([list(token_ids)], [0], 1)
        return rows.features[: rows.counts[0]], rows.acts[: rows.counts[0]]

    for family, sees in (("bert", True), ("modern_bert", True), ("llama_base", False)):
        one, other = first_row(family, 5, 6, 7), first_row(family, 5, 9, 8)
        same = one[0].tolist() == other[0].tolist() and np.allclose(one[1], other[1], atol=1e-5)
        assert same != sees, family


@pytest.mark.parametrize("family", ENCODERS)
def test_questions_about_next_tokens_do_not_apply(encoders, family):
    model = OpenedModel.load(load_config(encoders[family].config).model_type("mine"), "cpu")
    window = model.windows("return the value of a list")[0]
    with pytest.raises(NotApplicableError, match="no output layer"):
        intervene(model, window, Intervention((3,), "zero"), position=2)
    with pytest.raises(NotApplicableError, match="no output layer"):
        model.reader.language_model.logits(torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.long))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_causal_model_keeps_its_output_layer(tmp_path, family):
    assert has_output_layer(save_model(family, tmp_path))


def test_weights_that_an_encoder_lacks_are_still_an_error(encoders, tmp_path):
    from safetensors.torch import load_file, save_file

    from precompute.errors import ModelError

    shutil.copytree(encoders["bert"].root, tmp_path / "cut")
    path = tmp_path / "cut" / "lm" / "model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in tensors if "layer.1" in name and name.endswith("weight"))
    save_file({n: t for n, t in tensors.items() if n != lost}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="without usable weights"):
        load_language_model(load_config(tmp_path / "cut" / "my.toml").model_type("mine"), "cpu")

"""`python -m precompute.features.influences` on explicit paths."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from precompute.command_line import run_command
from precompute.features import activations, influences
from precompute.models.language_model import load_tokenizer
from precompute.models.sae.registry import load_sae
from precompute.models.tokens import vocabulary
from tests.builders import step_context
from tests.models.random_models import model_type, random_examples, write_windows
from tests.tiny import D_SAE, make_language_model, make_sae, make_texts


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    make_language_model(root / "lm", make_texts(60))
    make_sae(root / "sae")
    return root


def run(root, *options):
    arguments = ["--model", str(root / "lm"), "--sae", str(root / "sae"), *map(str, options)]
    return run_command(influences.main, arguments)


def expected_matrix(root, s):
    """float64 [d_sae, d_vocab]: the formula for an RMSNorm, from the files themselves."""
    from safetensors.numpy import load_file

    weights = load_file(root / "lm" / "model.safetensors")
    gain, head = weights["model.norm.weight"], weights["model.embed_tokens.weight"]
    return s * (load_sae(root / "sae").W_dec.numpy().astype(float) * gain) @ head.T.astype(float)


def check(root, table, s, top_k):
    matrix = expected_matrix(root, s)
    tokens = vocabulary(load_tokenizer(str(root / "lm")), matrix.shape[1])
    assert table.columns == ["feature", "direction", "rank", "token_id", "token", "influence"]
    assert table.height == 2 * top_k * D_SAE
    assert [tokens[i] for i in table["token_id"]] == table["token"].to_list()
    found = matrix[table["feature"].to_numpy(), table["token_id"].to_numpy()]
    np.testing.assert_allclose(table["influence"], found, rtol=1e-4, atol=1e-5)
    best = table.filter(direction="promotes", feature=7).sort("rank")["influence"]
    np.testing.assert_allclose(best, np.sort(matrix[7])[::-1][:top_k], rtol=1e-4, atol=1e-5)


def test_without_rows_sigma_is_one_and_it_says_so(root, tmp_path, capsys):
    assert run(root, "--top_k", 9, "--output_path", tmp_path / "i.parquet") == 0
    assert "no rows to average over" in capsys.readouterr().err
    check(root, pl.read_parquet(tmp_path / "i.parquet"), 1.0, 9)


def test_given_scale(root, tmp_path, capsys):
    assert run(root, "--top-k", 4, "--inverse-sigma", 0.25, "--output-path", tmp_path / "i.parquet") == 0
    assert capsys.readouterr().err == ""
    check(root, pl.read_parquet(tmp_path / "i.parquet"), 0.25, 4)


def test_scale_of_a_precomputed_directory(root, tmp_path):
    windows = write_windows(tmp_path / "windows.parquet", random_examples(9))
    subject = model_type(root / "lm", root / "sae")
    activations.run(step_context(tmp_path, {"windows.parquet": windows}, model_type=subject))
    assert run(root, "--top-k", 4, "--data-dir", tmp_path, "--output-path", tmp_path / "i.parquet") == 0
    total, n_rows = np.load(tmp_path / "activations" / "parts" / "00000" / "inverse_sigma.npy")
    check(root, pl.read_parquet(tmp_path / "i.parquet"), total / n_rows, 4)


@pytest.mark.parametrize(
    "options",
    [
        ("--top-k", "0", "--output-path", "i.parquet"),
        ("--output-path", "nowhere/i.parquet"),
        (),
        ("--inverse-sigma", "-1", "--output-path", "i.parquet"),
        ("--hook-name", "blocks.8.hook_resid_post", "--output-path", "i.parquet"),
        ("--adapter", "./nowhere", "--output-path", "i.parquet"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(root, tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    assert run(root, *options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "no rows to average" not in line]
    assert len(lines) == 1
    assert list(tmp_path.iterdir()) == []

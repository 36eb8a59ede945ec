"""The comparison with other programs, on a small scale and without them: what is made, counted and read."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.peer_runs import floor, programs, reading
from benchmarks.peer_runs.material import DATA, MODEL, NAME, SAE, TOKENS, Shape, make, rows_of, shape_of
from benchmarks.watch import run_watched
from precompute.command_line import run_command
from precompute.stores.row_store import RowStore
from precompute.unified import main as unified

SMALL = Shape(n_tokens=4096, n_ctx=32, d_model=64, n_layers=2, layer=1, d_vocab=200, d_sae=160, l0=12.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The material, and what Lightwell makes of it but the map and the quality."""
    root = tmp_path_factory.mktemp("peers")
    make(root, SMALL)
    left_out = f"{programs.MAP},{programs.QUALITY}"
    assert unified(["--model-type", NAME, *programs.place(root), "--skip", left_out, "--workers", "1"]) == 0
    return root


def pre_acts(root: Path) -> np.ndarray:
    """float64 [n_rows, d_sae]: the SAE's equation on the model's own states, before ReLU."""
    from safetensors.numpy import load_file
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(root / MODEL).eval()
    x = rows_of(model, np.load(root / TOKENS), SMALL).double().numpy()
    weights = {
        name: w.astype(np.float64) for name, w in load_file(root / SAE / "sae_weights.safetensors").items()
    }
    return (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]


def test_lightwell_counts_what_the_equation_says_of_every_token(root: Path) -> None:
    store, expected = RowStore(root / DATA / "activations"), pre_acts(root)
    assert store.n_rows == SMALL.n_tokens == len(expected)
    # A bias is one row's own product: that row lies on the threshold.
    on_the_threshold = np.count_nonzero(np.abs(expected) < 1e-4)
    assert on_the_threshold < 2 * SMALL.d_sae
    assert abs(store.info.n_nonzero - np.count_nonzero(expected > 0)) <= on_the_threshold
    assert store.info.n_nonzero / store.n_rows == pytest.approx(SMALL.l0, rel=0.1)


def test_the_directions_sum_to_zero_so_centred_weights_change_nothing(root: Path) -> None:
    from safetensors.numpy import load_file

    weights = load_file(root / SAE / "sae_weights.safetensors")
    np.testing.assert_allclose(weights["W_enc"].sum(axis=0), 0, atol=1e-5)


def test_what_is_made_is_kept_for_the_same_shape_and_made_anew_for_another(
    root: Path, tmp_path: Path
) -> None:
    assert shape_of(root) == SMALL
    before = (root / SAE / "cfg.json").stat().st_mtime_ns
    make(root, SMALL)
    assert (root / SAE / "cfg.json").stat().st_mtime_ns == before
    make(tmp_path, replace(SMALL, n_tokens=2048))
    make(tmp_path, replace(SMALL, n_tokens=1024))
    assert np.load(tmp_path / TOKENS).shape == (32, 32)


@pytest.mark.parametrize("all_layers", [False, True])
def test_the_bare_pass_says_its_seconds(root: Path, capsys: pytest.CaptureFixture, all_layers: bool) -> None:
    assert floor.main([str(root), "--batch", "24", *["--all-layers"] * all_layers]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["seconds"] < 60


def test_every_store_gives_a_feature_the_same_activations(root: Path) -> None:
    expected = np.maximum(0, pre_acts(root)).sum(axis=0)
    for reader in reading.readers(root):
        sums = [reader.sum_of(feature) for feature in range(SMALL.d_sae)]
        np.testing.assert_allclose(sums, expected, rtol=1e-3, atol=1e-2, err_msg=reader.store)
    found = reading.measure(root, n_features=20, n_dense=3)
    assert [read.n_features for read in found] == [20, 20, 3]
    assert all(0 < read.p50_ms <= read.p95_ms for read in found)


def test_steps_are_those_that_were_computed(root: Path) -> None:
    taken = programs.step_seconds(root)
    assert list(taken) == programs.computed(["--skip", f"{programs.MAP},{programs.QUALITY}"])
    assert programs.computed(["--only", programs.MAP]) == [programs.MAP]


def test_a_watched_command_counts_memory_and_time_of_its_children() -> None:
    busy = "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    child = f"import time; kept = b'1' * 60_000_000; {busy}"
    start = f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    parent = f"import subprocess, sys; {start}; print('ended')"
    ran = run_watched([sys.executable, "-c", parent])
    assert ran.said == "ended\n"
    assert ran.anonymous > 60e6
    assert ran.anonymous < ran.resident <= ran.anonymous + ran.mapped
    assert ran.cpu_seconds >= 0.3
    assert ran.seconds >= 0.3


def test_a_command_that_fails_is_quoted() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        run_watched([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_an_environment_without_the_peers_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for python, said in ((sys.executable, "sae-dashboard none"), (tmp_path / "none", "which does not run")):
        assert run_command(peers.main, [str(tmp_path / "made"), "--peers-python", str(python)]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "benchmarks/README.md" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "made").exists()

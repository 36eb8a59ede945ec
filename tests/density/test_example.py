"""The example trainer: a real GRPO run of a tiny model on prompts drawn by density, on one rank and two."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from precompute.command_line import run_command
from precompute.density.__main__ import main
from tests.density.made_parts import write_jsonl
from tests.tiny import make_language_model, make_texts

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "train_with_density.py"
needs_trl = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    texts = [text for text in make_texts(60) if text]
    make_language_model(home / "lm", texts)
    write_jsonl(home / "prompts.jsonl", texts)
    command = ["--prompts", "prompts.jsonl", "--model-source", "lm", "--output-dir", "weights"]
    where = Path.cwd()
    os.chdir(home)
    try:
        assert run_command(main, [*command, "--device", "cpu", "--workers", "1"]) == 0
    finally:
        os.chdir(where)
    return home


def train(
    home: Path, out: str, *arguments: str, launcher: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    command = [sys.executable, *launcher, str(SCRIPT), "--model", str(home / "lm"), "--out-dir", out]
    command += ["--device", "cpu", "--max-completion-length", "6", "--batch-size", "4", *arguments]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)


def log_of(home: Path, out: str) -> dict:
    return json.loads((home / out / "training_log.json").read_text())


@pytest.mark.full
@needs_trl
def test_a_short_run_changes_the_model_and_starts_at_once(home: Path) -> None:
    chosen = ["--max-steps", "3", "--learning-rate", "1e-3", "--beta", "0.1"]
    # Long enough that completions of one prompt differ in reward, without which nothing is learnt.
    chosen += ["--max-completion-length", "40", "--batch-size", "16"]
    precomputed = ["--use-precomputed-embeddings", "--embeddings-dir", "weights"]
    ended = train(home, "out", *chosen, *precomputed)
    assert ended.returncode == 0, ended.stderr
    log = log_of(home, "out")
    assert len(log["steps"]) == 3
    assert log["seconds_to_first_step"] < 1
    assert all(0 <= step["reward"] <= 1 for step in log["steps"])
    assert log["steps"][0]["kl"] == pytest.approx(0, abs=1e-6)
    assert log["steps"][-1]["kl"] > 0
    before, after = (
        load_file(home / "lm" / "model.safetensors"),
        load_file(home / "out" / "model.safetensors"),
    )
    assert any((before[name] != after[name]).any() for name in before)
    assert "first step" in ended.stdout


@needs_trl
@pytest.mark.full
def test_two_ranks_take_the_prompts_of_one_stream(home: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611")
    precomputed = ["--use-precomputed-embeddings", "--embeddings-dir", "weights"]
    ended = train(home, "two", "--max-steps", "2", *precomputed, launcher=launcher)
    assert ended.returncode == 0, ended.stderr
    assert len(log_of(home, "two")["steps"]) == 2


@needs_trl
@pytest.mark.full
def test_weights_may_be_worked_out_before_the_first_step(home: Path) -> None:
    ended = train(home, "online", "--max-steps", "1", "--prompts", "prompts.jsonl")
    assert ended.returncode == 0, ended.stderr


@needs_trl
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-steps", "0"], "--max-steps 0"),
        (["--batch-size", "6"], "--batch-size 6 with --num-generations 4"),
        (["--use-precomputed-embeddings", "--embeddings-dir", "nowhere"], "no density weights in nowhere"),
    ],
)
def test_a_mistake_is_one_line(home: Path, arguments: list[str], said: str) -> None:
    ended = train(home, "never", *arguments)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr

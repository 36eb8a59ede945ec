"""`python -m precompute.density` from the outside: names, flags, output, errors in one line, kills."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute.command_line import run_command
from precompute.density import open_density
from precompute.density.__main__ import main
from precompute.density.preferences import Pair, pair_of
from precompute.embeddings.encoder import TextEncoder
from tests.density import oracle
from tests.density.made_parts import write_jsonl
from tests.tiny import make_language_model, make_texts

FILES = ("embeddings.npy", "density_weights.npy", "prompts_list.json", "embeddings_metadata.json")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "lm"
    make_language_model(directory, make_texts(60))
    return directory


@pytest.fixture
def home(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration that names the model, and prompts with duplicates."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(f'[density.sources]\nbase = "{model}"\nsft = "{model}"\n')
    write_jsonl(tmp_path / "prompts.jsonl", make_texts(60))
    return tmp_path


def run(*arguments: str) -> int:
    return run_command(main, ["--config", "my.toml", "--device", "cpu", "--workers", "1", *arguments])


def test_the_output_is_the_definition_worked_out_slowly(home: Path, model: Path) -> None:
    assert run("--prompts", "prompts.jsonl", "--output-dir", "out", "--k", "5", "--batch-size", "8") == 0
    texts = make_texts(60)
    found = open_density("out")
    assert found.prompts() == texts == json.loads(Path("out/prompts_list.json").read_text())
    alone = np.concatenate([TextEncoder.load(model, device="cpu").encode([text]) for text in texts])
    np.testing.assert_allclose(np.load("out/embeddings.npy"), alone, atol=1e-5)
    expected = oracle.row_weights(texts, np.load("out/embeddings.npy"), 5, alpha=1, sign=1, cap=10, mix=0.1)
    np.testing.assert_allclose(np.load("out/density_weights.npy"), expected, rtol=1e-5)
    assert found.metadata["model"] == "base"
    assert found.metadata["model_n_embd"] == 32


def test_every_flag_has_a_default_and_another_spelling(home: Path) -> None:
    (home / "data").mkdir()
    shutil.copy("prompts.jsonl", "data/prompts_all.jsonl")
    assert run() == 0
    base = Path("data/density/base")
    assert run("--base_model_source", "sft", "--prompts_path", "prompts.jsonl", "--output_dir=other") == 0
    for name in FILES[:3]:
        assert (base / name).read_bytes() == (Path("other") / name).read_bytes()
    assert json.loads((Path("other") / FILES[3]).read_text())["model"] == "sft"


@pytest.mark.full
def test_parts_merge_to_the_whole(home: Path) -> None:
    texts = make_texts(60)
    for name, part in (("whole", texts), ("a", texts[:23]), ("b", texts[23:])):
        write_jsonl(home / f"{name}.jsonl", part, column="text")
        assert run("--prompts", f"{name}.jsonl", "--output-dir", name, "--k", "4") == 0
    assert run_command(main, ["merge", "--parts", "a", "b", "--output", "c"]) == 0
    whole, merged = open_density("whole"), open_density("c")
    assert merged.prompts() == whole.prompts()
    np.testing.assert_array_equal(merged.groups, whole.groups)
    np.testing.assert_allclose(merged.distances, whole.distances, atol=1e-6)
    np.testing.assert_allclose(merged.weights, whole.weights, rtol=1e-4)
    agree = [set(a) == set(b) for a, b in zip(merged.neighbors, whole.neighbors, strict=True)]
    assert np.mean(agree) > 0.95  # rounding may turn a tie


def test_logits_are_as_wide_as_the_vocabulary_and_say_what_they_take(home: Path, capsys) -> None:
    assert run("--prompts", "prompts.jsonl", "--output-dir", "out", "--pooling", "logits") == 0
    record = json.loads(Path("out/embeddings_metadata.json").read_text())
    assert record["embedding_dim"] == record["model_vocab_size"]
    assert f"warning: --pooling logits: 60 vectors of {record['embedding_dim']}" in capsys.readouterr().err


def test_status_says_what_is_stale(home: Path, model: Path, capsys) -> None:
    command = ["--prompts", "prompts.jsonl", "--output-dir", "out", "--model-source", "own"]
    shutil.copytree(model, "own")
    assert run(*command) == 0
    capsys.readouterr()
    assert run(*command, "--status") == 0
    assert capsys.readouterr().out.split() == [
        "prompt_embeddings", "fresh", "prompt_graph", "fresh", "density_weights", "fresh",
    ]  # fmt: skip
    weights = Path("own/model.safetensors")
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert run(*command, "--status") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["stale"] * 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompts", "none.jsonl"], "no prompts file none.jsonl"),
        (["--prompts", "bad.jsonl"], "bad.jsonl, line 2"),
        (["--prompts", "null.jsonl"], "null.jsonl, line 1: a prompt that is null"),
        (["--prompts", "other.jsonl"], "other.jsonl, line 1: only question"),
        (["--prompts", "empty.jsonl"], "at least one prompt"),
        (["--model-source", "mid"], "model source 'mid' that no configuration names"),
        (["--model-source", "./nowhere"], "./nowhere that does not exist"),
        (["--k", "0"], "--k"),
        (["--mix", "2"], "--mix 2.0"),
        (["--favor", "loud"], "--favor"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--output-dir", "prompts.jsonl"], "prompts.jsonl that cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(home: Path, arguments: list[str], said: str, capsys) -> None:
    Path("bad.jsonl").write_text('{"prompt": "a"}\n{"prompt": \n')
    Path("null.jsonl").write_text('{"prompt": null}\n')
    Path("other.jsonl").write_text('{"question": "a"}\n')
    Path("empty.jsonl").write_text("\n")
    assert run("--prompts", "prompts.jsonl", *arguments) == 2
    errors = capsys.readouterr().err.splitlines()
    assert said in errors[-1]
    assert errors[-1].startswith("lightwell: ")
    assert not any("Traceback" in line for line in errors)


def test_merge_refuses_what_is_no_part(home: Path, capsys) -> None:
    Path("a").mkdir()
    assert run_command(main, ["merge", "--parts", "a", "--output", "c"]) == 2
    assert "part a without" in capsys.readouterr().err


def dialogue(question: str, answer: str) -> str:
    return f"\n\nHuman: {question}\n\nAssistant: {answer}"


def test_pairs_and_prompts_of_a_directory(home: Path, capsys) -> None:
    source = home / "preferences"
    (source / "red").mkdir(parents=True)
    with gzip.open(source / "train.jsonl.gz", "wt") as file:
        for question, good, bad in (("why?", "so.", "no."), ("how?", "thus.", "never.")):
            record = {"chosen": dialogue(question, good), "rejected": dialogue(question, bad)}
            file.write(json.dumps(record) + "\n")
        file.write(json.dumps({"chosen": "a", "rejected": "b"}) + "\n")
    pl.DataFrame({"prompt": ["p", "p"], "chosen": ["c", "d"], "rejected": ["e", "f"]}).write_parquet(
        source / "more.parquet"
    )
    write_jsonl(source / "red" / "attempts.jsonl", ["not a pair"], column="transcript")
    (home / "mine.toml").write_text('[density.pairs]\nhh = "preferences"\n')
    command = ["pairs", "--only", "hh", "--config", "mine.toml"]
    assert run_command(main, command) == 0
    assert "hh: 4 pairs, 1 left out" in capsys.readouterr().out
    pairs = [json.loads(line) for line in Path("data/pairs_all.jsonl").read_text().splitlines()]
    assert pairs[0] == {"source": "hh", "prompt": "p", "chosen": "c", "rejected": "e"}
    assert pairs[2]["prompt"] == "\n\nHuman: why?\n\nAssistant:"
    assert (pairs[2]["chosen"], pairs[2]["rejected"]) == (" so.", " no.")
    assert run_command(main, ["prompts"]) == 0
    prompts = [json.loads(line)["prompt"] for line in Path("data/prompts_all.jsonl").read_text().splitlines()]
    assert prompts == ["p", "\n\nHuman: why?\n\nAssistant:", "\n\nHuman: how?\n\nAssistant:"]
    assert run() == 0
    assert open_density("data/density/base").prompts() == prompts


def test_pairs_refuses_what_holds_none(home: Path, capsys) -> None:
    Path("empty").mkdir()
    assert run_command(main, ["pairs", "--only", "./empty"]) == 2
    assert "no preference data in ./empty" in capsys.readouterr().err
    assert run_command(main, ["prompts"]) == 2
    assert "no pairs file" in capsys.readouterr().err


def test_a_pair_of_messages_shares_what_came_before() -> None:
    asked = {"role": "user", "content": "why?"}
    record = {
        "chosen": [asked, {"role": "assistant", "content": "so."}],
        "rejected": [asked, {"role": "assistant", "content": "no."}],
    }
    assert pair_of(record) == Pair("why?", "so.", "no.")
    assert pair_of({**record, "prompt": "Why, then?"}) == Pair("Why, then?", "so.", "no.")
    assert pair_of({"prompt": "p", "chosen": None, "rejected": "x"}) is None


@pytest.mark.full
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(home: Path) -> None:
    draw = np.random.default_rng(0)
    words = " ".join(make_texts(60)).split()
    write_jsonl(home / "many.jsonl", [" ".join(draw.choice(words, 30)) for _ in range(5000)])
    command = [sys.executable, "-m", "precompute.density", "--config", "my.toml", "--device", "cpu"]
    command += ["--prompts", "many.jsonl", "--workers", "1", "--output-dir"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.Popen([*command, "killed"], env=env, stderr=subprocess.DEVNULL)
    while killed.poll() is None and not list(Path("killed").glob(".tmp-*/shards/00000000.npy")):
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(list(Path("killed").glob(".tmp-*/shards/0*.npy"))) >= 1
    assert not (Path("killed") / "embeddings.npy").exists()
    for place in ("killed", "whole"):
        assert (
            subprocess.run([*command, place], env=env, stderr=subprocess.DEVNULL, check=False).returncode == 0
        )
    for name in FILES:
        assert (Path("killed") / name).read_bytes() == (Path("whole") / name).read_bytes()

"""Experiments from their folders to their files: equal by every way there, resumable, and clear in errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from precompute.command_line import run_command
from precompute.extraction import crew
from precompute.extraction import shards as shard_module
from precompute.extraction.__main__ import main
from precompute.extraction.text_model import TextModel
from tests.extraction.made_trait import SMALL, TRAIT
from tests.tiny import make_language_model, make_texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    make_language_model(directory, make_texts(30))
    return directory


def new_data(place: Path, trait: dict[str, Any] | str = TRAIT) -> Path:
    directory = place / "experiments" / "mine" / "polite"
    directory.mkdir(parents=True)
    text = trait if isinstance(trait, str) else json.dumps(trait)
    (directory / "trait_definition.json").write_text(text)
    return directory


def command(name: str, model: Path, data: Path, *given: str) -> list[str]:
    place = ["--experiment", "mine", "--model", str(model), "--data-dir", str(data), "--device", "cpu"]
    return [name, *place, *given]


def run(name: str, model: Path, data: Path, *given: str) -> int:
    return run_command(main, command(name, model, data, *given))


def contents(directory: Path) -> dict[str, bytes]:
    """Every published file of a trait."""
    found = {}
    for pointer in (directory / "artifacts").iterdir():
        for path in sorted(pointer.resolve().rglob("*")):
            if path.is_file():
                found[f"{pointer.name}/{path.relative_to(pointer.resolve())}"] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run in one pass."""
    data = tmp_path_factory.mktemp("whole")
    directory = new_data(data)
    assert run("run", model, data, *SMALL, "--batch-size", "5") == 0
    return directory


def test_a_run_leaves_the_files_that_it_promises(whole: Path, model: Path) -> None:
    table = pl.read_parquet(whole / "responses.parquet")
    assert table["example"].to_list() == list(range(24))
    assert table["polarity"].to_list() == ["pos", "neg"] * 12
    loaded = TextModel.load(str(model), device="cpu")
    row = table.row(1, named=True)
    assert row["prompt_token_ids"] == [0, *loaded.tokenizer("open file write\n\nof a list")["input_ids"]]
    assert row["response"] == loaded.decode([row["token_ids"]])[0]
    index = json.loads((whole / "activations" / "activations.json").read_text())
    sites = [f"blocks.{layer}.hook_resid_post" for layer in range(3)]
    assert [entry["site"] for entry in index["arrays"]] == sites
    vectors = load_file(whole / "vectors" / "mean_diff.safetensors")
    assert set(vectors) == set(sites)
    x = np.load(whole / "activations" / index["arrays"][1]["file"])
    assert (x.shape, x.dtype) == ((24, 32), np.float32)
    projections = pl.read_parquet(whole / "vectors" / "projections.parquet")
    chosen = projections.filter(method="mean_diff", site=sites[1])
    np.testing.assert_allclose(chosen["projection"], x @ vectors[sites[1]], atol=1e-4)
    fit = ~chosen["is_held_out"].to_numpy()
    positive = chosen["is_positive"].to_numpy()
    difference = x[fit & positive].mean(axis=0) - x[fit & ~positive].mean(axis=0)
    np.testing.assert_allclose(vectors[sites[1]], difference / np.linalg.norm(difference), atol=1e-5)
    summary = json.loads((whole / "vectors" / "probe.json").read_text())
    assert summary["n_fit_pos"] + summary["n_validation_pos"] == 12
    assert not list(whole.glob(".captured-*")) + list(whole.glob(".tmp-*"))


def test_what_is_fresh_is_not_computed_again_and_settings_are_remembered(
    whole: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, before = whole.parents[2], contents(whole)
    assert run("vectors", model, data, "--status") == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["fresh"] * 4
    assert run("run", model, data) == 0
    assert contents(whole) == before
    shown = capsys.readouterr()
    assert "24 responses, 24 kept" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    "given", [["--pipeline", "serial"], ["--pipeline", "combined"], ["--batch-size", "16"]]
)
def test_every_way_gives_the_same_responses_and_vectors(
    given: list[str], whole: Path, model: Path, tmp_path: Path
) -> None:
    other = new_data(tmp_path)
    assert run("generate", model, tmp_path, *SMALL[:4], *given) == 0
    assert run("capture", model, tmp_path, *given) == 0
    assert run("vectors", model, tmp_path, *SMALL[4:]) == 0
    first, second = (pl.read_parquet(place / "responses.parquet") for place in (whole, other))
    assert first.equals(second)
    for path in (whole / "activations").glob("*.npy"):
        np.testing.assert_allclose(
            np.load(other / "activations" / path.name), np.load(path), rtol=1e-4, atol=1e-4
        )
    for name in ("mean_diff", "probe"):
        ours, theirs = (load_file(place / "vectors" / f"{name}.safetensors") for place in (whole, other))
        assert all(np.dot(ours[site], theirs[site]) > 0.999 for site in ours)


def test_layer_l_is_the_output_of_block_l(whole: Path, model: Path) -> None:
    """By transformers' own hidden states, one text at a time and unpadded."""
    import torch

    network = TextModel.load(str(model), device="cpu").language_model.model
    x = np.load(whole / "activations" / "blocks.1.hook_resid_post.response_mean.npy")
    for row in pl.read_parquet(whole / "responses.parquet").iter_rows(named=True):
        n = len(row["prompt_token_ids"])
        ids = torch.tensor([[*row["prompt_token_ids"], *row["token_ids"]]])
        states = network(input_ids=ids, output_hidden_states=True).hidden_states[2][0, n:].detach().numpy()
        np.testing.assert_allclose(x[row["example"]], states.mean(axis=0), rtol=1e-4, atol=1e-4)


def test_an_interrupted_run_goes_on_at_its_shard(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "SHARD_EXAMPLES", 8)
    first, second = new_data(tmp_path / "first"), new_data(tmp_path / "second")
    assert run("run", model, tmp_path / "first", *SMALL, "--batch-size", "3") == 0
    written, real = [], crew.write_responses

    def failing(responses: Any, path: Path) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(responses, path)

    monkeypatch.setattr(crew, "write_responses", failing)
    assert run("run", model, tmp_path / "second", *SMALL, "--batch-size", "3") == 130
    monkeypatch.setattr(
        crew, "write_responses", lambda responses, path: (written.append(path), real(responses, path))
    )
    assert run("run", model, tmp_path / "second", *SMALL, "--batch-size", "3") == 0
    assert [path.name[:6] for path in written] == ["000000", "000001", "000002"]
    assert contents(first) == contents(second)


@pytest.mark.full
def test_sigkill_in_the_midst_loses_nothing_that_was_finished(model: Path, tmp_path: Path) -> None:
    many = ["--n-examples", "130", "--max-new-tokens", "20", "--methods", "mean_diff", "--batch-size", "8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    directories = [new_data(tmp_path / name) for name in ("whole", "killed")]
    commands = [
        [sys.executable, "-m", "precompute.extraction", *command("run", model, tmp_path / name, *many)]
        for name in ("whole", "killed")
    ]
    subprocess.run(commands[0], check=True, env=environment, capture_output=True)
    process = subprocess.Popen(
        commands[1],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not list(directories[1].glob(".tmp-*/shards/000000*")):
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in directories[1].glob(".tmp-*/shards/0*")}
    assert finished
    subprocess.run(commands[1], check=True, env=environment, capture_output=True)
    kept = {
        path.name: path.stat().st_mtime_ns
        for path in directories[1].glob("artifacts/trait_generation/shards/0*")
    }
    assert finished.items() <= kept.items()
    assert contents(directories[0]) == contents(directories[1])


@pytest.mark.full
def test_ranks_of_torchrun_give_the_same_bytes(model: Path, tmp_path: Path) -> None:
    many = ["--n-examples", "150", "--max-new-tokens", "5", "--methods", "mean_diff", "--batch-size", "8"]
    directories = [new_data(tmp_path / name) for name in ("one", "two")]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, launcher in (("one", []), ("two", torchrun)):
        given = command("run", model, tmp_path / name, *many)
        done = subprocess.run(
            [sys.executable, *launcher, "-m", "precompute.extraction", *given],
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert contents(directories[0]) == contents(directories[1])


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("run", ["--traits", "rude"], "unknown trait 'rude'"),
        ("vectors", ["--layers", "0,7"], "layer 7 of a model of 3"),
        ("run", ["--layers", "x"], "neither all nor numbers"),
        ("run", ["--methods", "pca"], "--methods pca"),
        ("run", ["--sites", "blocks.8.hook_resid_post"], "capture site 'blocks.8.hook_resid_post'"),
        ("run", ["--positions", "answer[:]"], "position rule 'answer[:]'"),
        ("run", ["--position", "prompt[-1]"], "--position prompt[-1]"),
        ("generate", ["--top-p", "0"], "--top-p 0"),
        ("generate", ["--batch-size", "none"], "'none' is no whole number"),
        ("generate", ["--judge", "model"], "without an evaluation prompt"),
        ("generate", ["--experiment", "../up"], "experiment '../up'"),
        ("run", ["--model", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    name: str, given: list[str], message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = new_data(tmp_path)
    assert run(name, model, tmp_path, *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert [path.name for path in directory.parent.rglob("*")] == ["polite", "trait_definition.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "the whole"),
        (json.dumps({**TRAIT, "questions": []}), "questions"),
        (json.dumps({**TRAIT, "questions": [" "]}), "empty"),
        (json.dumps({"questions": ["a"]}), "instructions"),
        (json.dumps({**TRAIT, "instructions": [{"pos": "a"}]}), "instructions.0.neg"),
        (json.dumps({**TRAIT, "judge": "me"}), "judge"),
    ],
)
def test_a_malformed_definition_is_named(
    content: str, message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_data(tmp_path, content)
    assert run("generate", model, tmp_path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_side_that_is_empty_after_scoring_is_named_and_responses_are_kept(
    whole: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = new_data(tmp_path, {**TRAIT, "keywords": ["a word that nobody writes"]})
    assert run("run", model, tmp_path, *SMALL, "--judge", "keywords") == 2
    assert "0 positive responses that count, of 24" in capsys.readouterr().err
    assert pl.read_parquet(directory / "responses.parquet")["score"].to_list() == [0.0] * 24


def test_a_batch_too_large_for_memory_is_lowered_and_says_so(
    whole: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from precompute.extraction import fitting

    directory = new_data(tmp_path)
    monkeypatch.setattr(fitting, "_free", lambda _: 2_000_000)
    assert run("generate", model, tmp_path, *SMALL[:4], "--batch-size", "100000") == 0
    assert "--batch-size 100000 does not fit in memory" in capsys.readouterr().err
    assert pl.read_parquet(directory / "responses.parquet").equals(
        pl.read_parquet(whole / "responses.parquet")
    )
    assert run("generate", model, tmp_path, *SMALL[:4], "--batch-size", "auto", "--force") == 0


def test_an_experiment_keeps_its_model(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = whole.parents[2]
    assert run_command(main, ["vectors", "--experiment", "mine", "--data-dir", str(data), "--status"]) == 0
    assert run_command(main, ["run", "--experiment", "other", "--data-dir", str(data)]) == 2
    assert "experiment 'other' whose model is not known" in capsys.readouterr().err
    assert run_command(main, ["run", "--experiment", "demo", "--model", "x", "--data-dir", str(data)]) == 2
    assert "whose model the configuration names" in capsys.readouterr().err


@pytest.mark.full
def test_the_traits_of_the_demo_are_found_on_questions_held_out(tmp_path: Path) -> None:
    given = [
        "--n-examples",
        "60",
        "--max-new-tokens",
        "40",
        "--methods",
        "probe,gradient",
        "--batch-size",
        "16",
    ]
    assert run_command(main, ["run", "--experiment", "demo", "--data-dir", str(tmp_path), *given]) == 0
    for trait in ("io_errors", "returns_values"):
        place = tmp_path / "experiments" / "demo" / trait / "vectors"
        for method in ("probe", "gradient"):
            summary = json.loads((place / f"{method}.json").read_text())
            best = summary["sites"][summary["best"]]
            assert best["auc"] >= 0.9
            assert best["random_auc"]["mean"] < best["auc"]

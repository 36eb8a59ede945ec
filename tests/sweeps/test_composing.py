"""Configurations: defaults, presets, a user's own, and mistakes told in one line."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from precompute.command_line import run_command
from precompute.errors import UsageError
from precompute.sweeps.best_of_k import help_text, main
from precompute.sweeps.composing import compose_settings, quoted
from precompute.sweeps.presets import CONF, USUAL, presets
from precompute.sweeps.settings import DEMO, EvalSettings

KEYS = """checkpoint_path k_values max_batches max_val_samples temperature load_store cache_dir output_dir
output_file do_bootstrap n_bootstrap max_generation_batch_size vector_extraction_batch_size num_positions
min_pos position_selection_strategy seed n_samples""".split()  # noqa: SIM905 - as it is written down


def test_keys_and_defaults() -> None:
    found = compose_settings([]).eval
    assert sorted(EvalSettings.model_fields) == sorted(KEYS)
    assert (found.checkpoint_path, found.temperature) == (str(DEMO), 1.0)
    assert (found.cache_dir, found.output_dir) == ("vector_cache", "eval_results")
    assert (found.output_file, found.do_bootstrap) == ("k_sweep_results.json", True)
    assert (found.max_generation_batch_size, found.vector_extraction_batch_size) == (32, 8)
    assert found.pool == 2 * 32
    assert all(f"eval.{key}" in help_text() for key in KEYS)


@pytest.mark.parametrize("spelling", ["+eval.", "eval.", "++eval."])
def test_a_plus_is_no_concern_of_the_user(spelling: str) -> None:
    found = compose_settings(
        [f"{spelling}k_values=[1,2]", f"{spelling}load_store=true", f"{spelling}n_samples=9"]
    )
    assert (found.eval.k_values, found.eval.pool, found.eval.load_store) == ((1, 2), 9, True)


def test_presets_and_a_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "a b" / "conf" / "eval"
    own.mkdir(parents=True)
    (own / "my_k_sweep.yaml").write_text("k_values: [1, 3]\ntemperature: 0.5\n")
    monkeypatch.chdir(tmp_path / "a b")
    found = compose_settings(["+eval=my_k_sweep", "+eval.temperature=0.7", "data=documentation"])
    assert (found.eval.k_values, found.eval.temperature, found.data.held_out) == ((1, 3), 0.7, None)
    assert compose_settings(["eval=quick"]).data.held_out is not None
    assert presets() == (*USUAL, "my_k_sweep")
    assert sorted(USUAL) == sorted(path.stem for path in (CONF / "eval").glob("*.yaml"))
    for group in ("eval", "data", "machine"):
        for path in sorted((CONF / group).glob("*.yaml")):
            compose_settings([f"{group}={path.stem}", "data.dataset=texts.jsonl"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+eval.k_valuess=[1]"], "did you mean eval.k_values?"),
        (["+eval.temprature=1"], "did you mean eval.temperature?"),
        (["k_values=[1]"], "did you mean eval.k_values?"),
        (["+evall.seed=1"], "did you mean eval?"),
        (["+data.datset=a"], "did you mean data.dataset?"),
        (["+eval=nothing"], "Could not find 'eval/nothing'"),
        (["+eval.k_values=[2,1]"], "ascending"),
        (["+eval.k_values=[0]"], "1 or more"),
        (["+eval.n_samples=3"], "at least the largest K, 32"),
        (["+eval.temperature=-1"], "temperature"),
        (["+eval.temperature=1,2"], "several values"),
        (["+eval.k_values=[1"], "lightwell:"),
        (["data=file"], "dataset"),
        (["+eval.output_file=../x.json"], "without a directory"),
        (["+eval.position_selection_strategy=first"], "position_selection_strategy"),
        (["+eval.checkpoint_path=no/where"], "text autoencoder no/where that does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.parametrize("text", ["a b", "it's, [a] {b}=c", "x\\y", "x\\'\\", "ü (1)", "$1"])
def test_any_text_can_be_quoted(text: str) -> None:
    assert compose_settings([f"machine.data_dir={quoted(text)}"]).machine.data_dir == text


def test_threads_may_compose_at_the_same_time() -> None:
    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda n: compose_settings([f"eval.seed={n}", "eval=quick"]), range(24)))
    assert [settings.eval.seed for settings in found] == list(range(24))


def test_an_error_can_be_read_by_programs() -> None:
    with pytest.raises(UsageError) as raised:
        compose_settings(["+eval.sed=1"])
    assert json.dumps(raised.value.found)
    assert raised.value.remedy == "correct the key"


def test_the_configuration_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cfg", "job", "+eval.seed=3"]) == 0
    assert "seed: 3" in capsys.readouterr().out

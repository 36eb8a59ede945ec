"""The commands of the README, one after another, as a person gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from precompute.command_line import run_command
from precompute.embeddings.__main__ import main
from precompute.embeddings.commands import _without_gpus
from tests.embeddings.tiny_embedder import make_dataset


def test_from_the_demo_to_a_search_and_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, dataset = str(tmp_path / "outputs" / "lightwell"), tmp_path / "texts.jsonl"
    texts = make_dataset(dataset)
    named = ["--model-dir", model, "--dataset-size", "toy"]
    assert run_command(main, ["demo", model]) == 0
    assert run_command(main, ["demo", model]) == 2  # never over what is there
    assert run_command(main, ["search", "sort a list", *named]) == 1
    assert "python -m precompute.embeddings --model-dir" in capsys.readouterr().err
    assert (
        run_command(main, [*named, "--dataset", str(dataset), "--batch_size", "64", "--max-length", "64"])
        == 0
    )
    capsys.readouterr()
    assert run_command(main, ["search", texts[20], *named, "--k", "3", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [hit["rank"] for hit in found] == [0, 1, 2]
    assert (found[0]["row"], found[0]["text"]) == (20, texts[20])
    assert run_command(main, ["search", texts[20], *named, "--k", "3"]) == 0
    assert capsys.readouterr().out.count("\n") == 3
    assert run_command(main, ["map", *named, "--min-cluster-size", "5", "--epochs", "10"]) == 0
    assert run_command(main, ["map", *named, "--min-cluster-size", "5", "--epochs", "10"]) == 0
    assert "nothing computed" in capsys.readouterr().err
    assert run_command(main, [*named, "--status", "--json"]) == 0
    states = [(record["step"], record["state"]) for record in json.loads(capsys.readouterr().out)]
    assert states == [("embeddings", "fresh"), ("neighbors", "fresh"), ("map", "fresh")]
    assert run_command(main, [*named, "--verify"]) == 0
    assert "3 artifacts read, 0 damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--dataset-size", "huge"], "huge"),
        (["--dataset", "absent.jsonl"], "absent.jsonl"),
        (["--model-dir", "./absent"], "absent"),
        (["--token-budget", "-3"], "--token-budget"),
        (["--pooling", "logits"], "logits"),
        (["import", "absent"], "absent"),
        (["search"], "text"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = [] if arguments[0] == "import" else ["--data-dir", str(tmp_path)]
    assert run_command(main, [*arguments, *place]) == 2
    message = capsys.readouterr().err
    assert named in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing is written before the input is judged


def test_ranks_are_started_without_the_option_that_starts_them() -> None:
    given = ["--gpus", "2", "--dataset-size", "toy", "--gpus=auto", "--force"]
    assert _without_gpus(given) == ["--dataset-size", "toy", "--force"]

"""Any table as a file: the same rows, whatever the format."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from precompute.command_line import run_command
from precompute.export.__main__ import known_table, main
from precompute.export.files import FORMATS, csv_pieces, flattened
from precompute.export.static_page import feature_numbers
from precompute.reading import open_artifacts
from tests.tiny import TinyFiles


def export(files: TinyFiles, command: str, *arguments: str) -> int:
    where = ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(files.root / "data")]
    return run_command(main, [command, *arguments, *where])


@pytest.mark.parametrize("name", ["influences", "histograms", "windows", "corpus", "feature_map"])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_table_keeps_its_rows(computed: TinyFiles, tmp_path: Path, name: str, ending: str) -> None:
    assert export(computed, "table", name, "--to", str(tmp_path / f"t.{ending}")) == 0
    table = open_artifacts("mine", computed.root / "data", computed.config).table(name)
    if ending == "parquet":
        assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
        return
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == table.height
    for column, kind in table.schema.items():
        if kind.is_nested():
            assert [json.loads(row[column]) for row in rows] == table[column].to_list()
        elif kind.is_integer():
            assert [row[column] for row in rows] == ["" if v is None else str(v) for v in table[column]]
        elif kind.is_float():
            read = pl.Series([float(row[column]) if row[column] else None for row in rows], dtype=kind)
            assert read.to_list() == table[column].to_list()


def test_only_some_features(computed: TinyFiles, tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    assert export(computed, "table", "influences", "--features", "3,10:13", "--to", str(target)) == 0
    assert sorted(pl.read_parquet(target)["feature"].unique()) == [3, 10, 11, 12]


def test_a_text_that_looks_like_a_formula_is_guarded() -> None:
    written = b"".join(csv_pieces(pl.DataFrame({"a": ["=1+1", "plain"], "b": [[1], [2]]}))).decode()
    assert written.splitlines() == ["a,b", "'=1+1,[1]", "plain,[2]"]
    assert flattened(pl.DataFrame({"a": [1]})).equals(pl.DataFrame({"a": [1]}))


WRONG = [
    (["table", "influence", "--to", "t.csv"], "no table 'influence'"),
    (["table", "influences", "--to", "t.xlsx"], "an ending of .csv, .parquet"),
    (["table", "vocabulary", "--features", "3", "--to", "t.csv"], "a table of features"),
    (["table", "influences", "--features", "x", "--to", "t.csv"], "no list of features"),
    (["table", "influences", "--to", "no/such/t.csv"], "no directory"),
    (["page", "--features", "100000", "--to", "p.html"], "feature 100000"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_mistakes_are_named_in_one_line(
    computed: TinyFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(computed, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_names_and_numbers() -> None:
    assert known_table("influences.parquet") == "influences"
    assert feature_numbers("3,7, 10:13") == [3, 7, 10, 11, 12]

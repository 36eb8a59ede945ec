"""Every corpus format gives the same table, and what is wrong with a file is said."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.corpus.readers import READERS, read_corpus
from precompute.corpus.texts import text_id
from precompute.errors import CorpusError

ROWS = [
    {"body": "the first", "source": "a", "year": 2001},
    {"body": "", "source": "b", "year": 2002},
    {"body": "the first", "source": "c", "year": None},
    {"body": 'with "quotes",\nand lines', "source": "d", "year": 2004},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    table = pl.DataFrame(rows)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        table.write_csv(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        path.write_text("\n".join(str(row["body"]).replace("\n", " ") for row in rows))
    return path


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_texts_come_in_file_order_with_their_ids_and_metadata(tmp_path: Path, suffix: str) -> None:
    column = "text" if suffix == ".txt" else "body"
    table = read_corpus(write(tmp_path / f"corpus{suffix}", ROWS), column)
    expected = [str(row["body"]) for row in ROWS]
    if suffix == ".txt":
        expected = [text.replace("\n", " ") for text in expected]
    assert table["text"].to_list() == expected
    assert table["text_id"].to_list() == [text_id(text) for text in expected]
    if suffix != ".txt":
        assert table["source"].to_list() == ["a", "b", "c", "d"]
        assert table["year"].to_list() == [2001, 2002, None, 2004]


def test_columns_of_reserved_names_are_kept_beside_those_that_have_their_new_name(tmp_path: Path) -> None:
    row = {"text": "a text", "n_tokens": 1, "_n_tokens": 2, "__n_tokens": 3, "text_id": "own"}
    (read,) = read_corpus(write(tmp_path / "corpus.jsonl", [row])).to_dicts()
    kept = {"_n_tokens": 2, "__n_tokens": 3, "___n_tokens": 1, "_text_id": "own"}
    assert read == {"text_id": text_id("a text"), "text": "a text", **kept}


@settings(max_examples=40)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1))
def test_jsonl_keeps_every_text(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("corpus") / "c.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "x"]), encoding="utf-8")
    assert read_corpus(path)["text"].to_list() == [*texts, "x"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.jsonl", "", "holds no text"),
        ("c.jsonl", '{"text": " "}\n', "holds no text"),
        ("c.jsonl", '{"text": "a"}\n{"text"\n', "line 2"),
        ("c.jsonl", "[1]\n", "line 1: a JSON list"),
        ("c.jsonl", '{"body": "a"}\n', "without a column 'text'"),
        ("c.csv", "body\na\n", "without a column 'text'"),
        ("c.parquet", "this is no parquet", "cannot be read"),
        ("c.pdf", "x", "an ending of .jsonl, .csv, .parquet, .txt"),
        ("c.txt", "\n\n", "holds no text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError) as raised:
        read_corpus(tmp_path / name)
    assert message in str(raised.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus file"):
        read_corpus(tmp_path / "none.jsonl")


def test_a_metadata_column_with_a_name_of_ours_is_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "a", "text_id": "theirs"}\n')
    table = read_corpus(path)
    assert table["_text_id"].to_list() == ["theirs"]
    assert table["text_id"].to_list() == [text_id("a")]

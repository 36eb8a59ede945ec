"""Datasets: formats, statements under papers, sizes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.artifacts.digests import DigestCache
from precompute.embeddings.datasets import Dataset
from precompute.embeddings.statements import flattened
from precompute.errors import CorpusError

PAPERS = [
    {
        "paper_title": "First",
        "arxiv_id": "2101.00001",
        "statements": [
            {"text": "a b", "type": "definition"},
            {"text": "c", "type": "remark", "arxiv_id": "own"},
        ],
    },
    {"paper_title": "None", "arxiv_id": "2101.00002", "theorems": []},
    {
        "paper_title": "Second",
        "arxiv_id": "2101.00003",
        "lemmas": [{"text": "d"}],
        "theorems": ["e", {"text": None, "type": "corollary"}],
    },
]
EXPECTED = [
    ("a b", "definition", "First", "2101.00001"),
    ("c", "remark", "First", "own"),
    ("d", "lemma", "Second", "2101.00003"),
    ("e", "theorem", "Second", "2101.00003"),
    ("", "corollary", "Second", "2101.00003"),
]


def write(path: Path, records: list[dict[str, object]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("name", ["papers.jsonl", "papers.json"])
def test_statements_are_flattened_in_file_order_with_their_papers_fields(tmp_path: Path, name: str) -> None:
    found = Dataset(write(tmp_path / name, PAPERS)).read()
    assert found.select("text", "type", "paper_title", "arxiv_id").rows() == EXPECTED
    assert found["paper_arxiv_id"].to_list() == [None, "2101.00001", None, None, None]


def test_statements_in_parquet(tmp_path: Path) -> None:
    table = pl.DataFrame({"paper_title": ["A", "B"], "statements": [[{"text": "x", "type": "t"}], []]})
    table.write_parquet(tmp_path / "papers.parquet")
    found = Dataset(tmp_path / "papers.parquet").read()
    assert found.select("text", "type", "paper_title").rows() == [("x", "t", "A")]


@given(
    st.lists(
        st.one_of(
            st.text(max_size=5).map(lambda text: {"text": text}),
            st.lists(st.text(max_size=5), max_size=4).map(lambda texts: {"statements": texts, "id": 1}),
        ),
        max_size=8,
    )
)
def test_no_statement_is_lost_repeated_or_moved(records: list[dict[str, object]]) -> None:
    expected = [text for record in records for text in record.get("statements", [record.get("text")])]  # type: ignore[attr-defined]
    assert [row["text"] for row in flattened(records, "text", "here")] == expected


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".txt"])
def test_every_format_gives_its_texts_in_order(tmp_path: Path, suffix: str) -> None:
    texts = ["one", "two words", "three", "one"]
    table = pl.DataFrame({"text": texts, "year": [1, 2, 3, 4]})
    path = tmp_path / f"texts{suffix}"
    if suffix == ".jsonl":
        table.write_ndjson(path)
    elif suffix == ".csv":
        table.write_csv(path)
    elif suffix == ".parquet":
        table.write_parquet(path)
    else:
        path.write_text("\n".join(texts))
    found = Dataset(path).read()
    assert found["text"].to_list() == texts
    assert suffix == ".txt" or found["year"].to_list() == [1, 2, 3, 4]


def test_sizes_are_beginnings_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"text": f"text {i}"} for i in range(1203)])
    found = {size: Dataset(path).read(size)["text"].to_list() for size in ("toy", "tiny", "small", "full")}
    assert [len(texts) for texts in found.values()] == [100, 1000, 1203, 1203]
    assert all(found["full"][: len(texts)] == texts for texts in found.values())


def test_the_documentation_is_a_seeded_sample_at_each_size(tmp_path: Path) -> None:
    rows = {"text": [f"text {i}" for i in range(2000)], "package": [f"p{i // 500}" for i in range(2000)]}
    (tmp_path / "corpus_builtin").mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / "corpus_builtin" / "corpus.parquet")
    dataset = Dataset(data_dir=tmp_path)
    toy, tiny = dataset.read("toy"), dataset.read("tiny")
    assert toy["package"].n_unique() == 4
    assert tiny["text"].head(100).to_list() == toy["text"].to_list()


def test_appended_rows_change_the_digest_of_the_sizes_that_hold_them(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"text": f"text {i}"} for i in range(150)])
    cache = DigestCache(tmp_path / ".digests.json")
    before = {size: Dataset(path).digest(size, cache) for size in ("toy", "full")}
    with path.open("a") as file:
        file.write('{"text": "one more"}\n')
    after = {size: Dataset(path).digest(size, cache) for size in ("toy", "full")}
    assert before["toy"] == after["toy"]
    assert before["full"] != after["full"]


def test_our_columns_do_not_hide_the_datasets_own(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"body": "a", "text": "b", "row": 7}])
    found = Dataset(path, "body").read()
    assert found.select("text", "_text", "_row").rows() == [("a", "b", 7)]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"statements": [{"type": "x"}]}', "record 1, statements 1"),
        ('{"text": "a"}\n{"lemmas": [3]}', "record 2, lemmas 1"),
        ('{"body": "a"}', "body"),
        ('{"text": ""}', "holds no text"),
        ("", "holds no text"),
        ("[1]", "line 1"),
        ("{", "line 1"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(CorpusError, match=named):
        Dataset(tmp_path / "t.jsonl").read()


def test_a_lone_surrogate_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a\\ud800b \\ud83d\\ude00"}')
    assert Dataset(tmp_path / "t.jsonl").read()["text"].to_list() == ["a\ufffdb \U0001f600"]


def test_an_unknown_size_and_an_absent_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="huge"):
        Dataset(tmp_path / "t.jsonl").read("huge")
    with pytest.raises(CorpusError, match="no dataset file"):
        Dataset(tmp_path / "t.jsonl").read("toy")
    (tmp_path / "t.xlsx").write_text("x")
    with pytest.raises(CorpusError, match="ending"):
        Dataset(tmp_path / "t.xlsx").read("toy")

"""Lists of tokens are used as they are; sets are the same in any order, and are never cut."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute import open_artifacts
from precompute.config import CorpusConfig
from precompute.corpus.readers import read_corpus
from precompute.corpus.token_lists import TOKENS, id_lookup, list_ids
from precompute.errors import CorpusError
from precompute.pipeline.sources import OF_TOKENS, ORIGIN
from tests.conftest import run
from tests.tiny import TinyFiles, make_all


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("cell", [[4, 5, 4], "[4, 5, 4]", "4 5 4"])
def test_ids_in_lists_in_json_and_with_spaces(tmp_path, cell):
    path = written(tmp_path / "c.jsonl", [{"tokens": cell, "weapon": 7}, {"tokens": None, "weapon": 8}])
    table = read_corpus(path, tokens_column="tokens")
    assert table[TOKENS].to_list() == [[4, 5, 4], []]
    assert table["weapon"].to_list() == [7, 8]
    assert table["text"].to_list() == ["4 5 4", ""]


def test_parquet_and_csv_agree(tmp_path):
    lists = [["a", "b"], ["b"], ["12", "a"]]
    pl.DataFrame({"tokens": lists, "x": [1, 2, 3]}).write_parquet(tmp_path / "c.parquet")
    pl.DataFrame({"tokens": [" ".join(each) for each in lists], "x": [1, 2, 3]}).write_csv(tmp_path / "c.csv")
    one, other = (read_corpus(tmp_path / name, tokens_column="tokens") for name in ("c.parquet", "c.csv"))
    assert one.equals(other)
    # A token that looks like a number is a token where the others are.
    assert one[TOKENS].to_list() == lists


def test_a_text_beside_the_tokens_is_kept(tmp_path):
    path = written(tmp_path / "c.jsonl", [{"tokens": [1, 2], "text": "one two"}])
    assert read_corpus(path, tokens_column="tokens")["text"].to_list() == ["one two"]


LISTS = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=12)


@given(lists=LISTS, seed=st.randoms())
def test_sets_are_the_same_in_any_order(lists, seed):
    sets = [list(dict.fromkeys(each)) for each in lists]
    mixed = [seed.sample(each, len(each)) for each in sets]
    series = [pl.Series(TOKENS, value, dtype=pl.List(pl.Int64)) for value in (sets, mixed)]
    one, other = (list_ids(each, as_sets=True) for each in series)
    assert one.to_list() == other.to_list()
    same = [frozenset(each) for each in sets]
    assert [(a == b) for a in one for b in one] == [(a == b) for a in same for b in same]
    ordered = list_ids(series[1], as_sets=False).to_list()
    assert [(a == b) for a in ordered for b in ordered] == [(a == b) for a in mixed for b in mixed]


def test_look_up():
    look_up = id_lookup({"a": 3, "7": 5}, 10)
    assert look_up([["a", "7"], [9, 0]]) == [[3, 5], [9, 0]]
    for wrong in ("b", 10, -1):
        with pytest.raises(CorpusError, match="from 0 to 9"):
            look_up([[wrong]])


def test_a_csv_of_single_ids_is_lists_of_one(tmp_path):
    (tmp_path / "a.csv").write_text("tokens\n3\n17\n")
    assert read_corpus(tmp_path / "a.csv", tokens_column="tokens")[TOKENS].to_list() == [[3], [17]]


@pytest.mark.parametrize("cell", [3, [1.5], [[1]], [True], [10**19], "[1, 2", {"a": 1}])
def test_what_is_no_list_of_tokens(tmp_path, cell):
    with pytest.raises(CorpusError, match="row 1"):
        read_corpus(
            written(tmp_path / "c.jsonl", [{"tokens": None}, {"tokens": cell}]), tokens_column="tokens"
        )


def test_a_column_that_is_absent(tmp_path):
    with pytest.raises(CorpusError, match="set tokens_column"):
        read_corpus(written(tmp_path / "c.jsonl", [{"tokens": [1]}]), tokens_column="ids")


def test_a_corpus_of_texts_has_the_identity_that_it_always_had():
    """Options that mean nothing for it must not make what is computed stale."""
    kept = set(CorpusConfig.model_fields) - ORIGIN - set(OF_TOKENS)
    assert kept == {"text_column", "n_ctx", "max_examples", "held_out"}


# Through the pipeline.

SETS = [[40, 41, 42], [42, 40, 41], [7, 7, 8], [9, 10, 11, 12]]


@pytest.fixture(name="listed")
def listed_fixture(tmp_path):
    """A model type whose corpus is lists of token ids; `write(rows, options)` writes it."""
    files = make_all(tmp_path, n_texts=30)

    def write(rows, options: str) -> TinyFiles:
        written(files.corpus, rows)
        before = files.config.read_text().split("[model_types.mine.corpus]")[0]
        corpus = f'[model_types.mine.corpus]\npath = "texts.jsonl"\nn_ctx = 6\n{options}'
        files.config.write_text(before + corpus)
        return files

    return write


def test_tokens_reach_the_model_as_they_are(listed):
    rows = [{"tokens": each, "weapon": i} for i, each in enumerate([*SETS, list(range(20, 33))])]
    files = listed(rows, 'tokens_column = "tokens"')
    assert run(files, "--only", "tfidf") == 0
    artifacts = open_artifacts("mine", files.root / "data", files.config)
    windows = artifacts.table("windows")
    text = windows.sort("text_index", "chunk").group_by("text_index", maintain_order=True)
    rebuilt = text.agg(pl.col("token_ids").list.slice(1).explode())["token_ids"].to_list()
    assert rebuilt == [row["tokens"] for row in rows]
    corpus = artifacts.table("corpus")
    assert corpus["weapon"].to_list() == [0, 1, 2, 3, 4]
    names = artifacts.table("vocabulary")["token"]
    assert corpus["text"][3] == "".join(names[i] for i in SETS[3])
    assert TOKENS not in corpus.columns


def test_sets_are_whole_and_their_duplicates_known(listed):
    files = listed([{"tokens": each} for each in SETS], 'tokens_column = "tokens"\ntoken_sets = true')
    assert run(files, "--only", "corpus") == 0
    artifacts = open_artifacts("mine", files.root / "data", files.config)
    assert artifacts.table("corpus")["duplicate_of"].to_list() == [0, 0, 2, 3]
    assert artifacts.table("windows")["token_ids"].list.slice(1).to_list()[2] == [7, 8]


def test_a_set_that_is_too_long_is_not_cut(listed, capsys):
    files = listed([{"tokens": list(range(20))}], 'tokens_column = "tokens"\ntoken_sets = true')
    assert run(files, "--only", "corpus") == 2
    assert "a set of 20 tokens (row 0); expected at most 5" in capsys.readouterr().err


def test_a_token_that_the_model_lacks(listed, capsys):
    files = listed([{"tokens": ["return", "Ġno-such"]}], 'tokens_column = "tokens"')
    assert run(files, "--only", "corpus") == 2
    assert "in the corpus; expected a token of the model's vocabulary" in capsys.readouterr().err

"""IDF: document frequencies, alone and as a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig

from precompute.command_line import run_command
from precompute.features import idf
from tests.builders import random_subject
from tests.features.token_steps import check_storage_and_workers_do_not_matter, run_step
from tests.tiny import make_language_model, make_texts


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "lm"
    make_language_model(path, make_texts(20))
    return path


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=8))
def test_document_frequency_counts_each_example_once(examples: list[list[int]]) -> None:
    indptr = np.cumsum([0, *(len(e) for e in examples)])
    tokens = np.array([t for e in examples for t in e], dtype=np.int32)
    expected = [sum(token in e for e in examples) for token in range(10)]
    assert idf.document_frequency(tokens, indptr, 10).tolist() == expected


def test_table_lists_the_whole_vocabulary(tmp_path: Path) -> None:
    subject = random_subject(tmp_path, n_examples=11, examples_per_shard=4, d_vocab=60)
    table = run_step(idf.STEP, subject, tmp_path / "out").out / "idf.parquet"
    found = pl.read_parquet(table)
    windows = [set(w.token_ids) for w in subject.corpus.windows]
    frequency = np.array([sum(t in w for w in windows) for t in range(60)])
    assert found["token_id"].to_list() == list(range(60))
    assert found["token"].to_list() == subject.corpus.tokens
    assert found["document_frequency"].to_list() == frequency.tolist()
    np.testing.assert_allclose(found["idf"], np.log(12 / (frequency + 1)), rtol=1e-15)
    assert found["idf"][0] == 0  # BOS is in every example


def test_storage_and_workers_do_not_matter(tmp_path: Path) -> None:
    check_storage_and_workers_do_not_matter(idf.STEP, tmp_path)


@pytest.mark.parametrize("inside", ["", "activations"])
def test_command_takes_a_store_or_a_subject(tmp_path: Path, inside: str) -> None:
    subject = random_subject(tmp_path / "subject", n_examples=9)
    output = tmp_path / "idf.parquet"
    command = ["--data_dir", str(subject.root / inside), "--output-path", str(output)]
    assert run_command(idf.main, command) == 0
    context = run_step(idf.STEP, subject, tmp_path / "out")
    assert pl.read_parquet(output).equals(pl.read_parquet(context.out / "idf.parquet"))


def test_command_without_a_vocabulary_leaves_strings_null(tmp_path: Path) -> None:
    subject = random_subject(tmp_path / "subject", n_examples=9)
    (subject.root / "vocabulary.parquet").unlink()
    output = tmp_path / "idf.parquet"
    assert run_command(idf.main, ["--data-dir", str(subject.root), "--output-path", str(output)]) == 0
    found = pl.read_parquet(output)
    assert found["token"].null_count() == found.height > 0


def test_command_refuses_what_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "idf.parquet"
    assert run_command(idf.main, ["--data-dir", str(tmp_path), "--output-path", str(output)]) == 2
    assert run_command(idf.main, ["--data-dir", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "expected" in lines[0]
    assert not output.exists()


def test_command_refuses_a_directory_that_is_not_there(tmp_path: Path) -> None:
    subject = random_subject(tmp_path / "subject", n_examples=5)
    command = ["--data-dir", str(subject.root), "--output-path", str(tmp_path / "no" / "idf.parquet")]
    assert run_command(idf.main, command) == 2


def test_command_takes_the_strings_of_a_model(tmp_path: Path, tiny_model: Path) -> None:
    subject = random_subject(tmp_path / "subject", n_examples=5)
    (subject.root / "vocabulary.parquet").unlink()
    output = tmp_path / "idf.parquet"
    command = ["--data-dir", str(subject.root), "--output-path", str(output), "--model", str(tiny_model)]
    assert run_command(idf.main, command) == 0
    found = pl.read_parquet(output)
    assert found["token"].null_count() == 0
    assert found.height == AutoConfig.from_pretrained(tiny_model).vocab_size
    assert run_command(idf.main, [*command[:-1], str(tmp_path / "nowhere")]) == 2

"""How streams and texts are cut, how the corpus is split, and what the tokenizer promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from precompute.corpus.texts import text_id
from precompute.demo.heldout import split_corpus
from precompute.demo.language_training import LanguageTraining
from precompute.demo.token_rows import IGNORED, RowOrder, chunk_documents, join_documents, take_rows
from precompute.demo.tokenizer import BOS_ID, BOS_TOKEN, encode_texts, load_tokenizer, train_tokenizer

DOCUMENTS = st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=40), min_size=1, max_size=6)


@given(DOCUMENTS, st.integers(2, 12))
def test_chunks_hold_every_token_once(documents: list[list[int]], n_ctx: int) -> None:
    rows = chunk_documents([np.array(d, dtype=np.uint16) for d in documents], n_ctx)
    assert rows.shape[1] == n_ctx
    assert (rows[:, 0] == BOS_ID).all()
    assert (rows[:, 1] != IGNORED).all()
    assert rows[:, 1:][rows[:, 1:] != IGNORED].tolist() == [token for d in documents for token in d]


@given(st.integers(20, 200), st.integers(1, 15), st.integers(0, 5))
def test_an_epoch_visits_a_stream_once(n_tokens: int, width: int, epoch: int) -> None:
    order = RowOrder(n_tokens, width, seed=3)
    starts = order.starts(epoch)
    assert starts.tolist() == order.starts(epoch).tolist()
    rows = take_rows(np.arange(n_tokens, dtype=np.uint16), np.sort(starts), width)
    inner = rows[:, 1:].ravel()
    assert (np.diff(inner) == 1).all()
    assert n_tokens - len(inner) < 2 * width


def test_documents_are_separated() -> None:
    stream = join_documents([np.array([5, 6], dtype=np.uint16), np.array([7], dtype=np.uint16)])
    assert stream.tolist() == [BOS_ID, 5, 6, BOS_ID, 7]


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    training = LanguageTraining(n_tokens=1000 * 24 * 256)
    rates = [training.rate(step) for step in range(training.n_steps)]
    assert rates[0] < 0.1
    assert rates[300] == 1.0
    assert 0 < rates[-1] < 0.01
    assert max(rates) == 1.0


def _corpus(entries: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text_id": [text_id(text) for _, text in entries],
            "text": [text for _, text in entries],
            "package": [package for package, _ in entries],
        }
    )


def test_held_out_texts_are_new() -> None:
    words = " ".join(f"word{i}" for i in range(40))
    other = " ".join(f"other{i}" for i in range(40))
    split = split_corpus(
        _corpus([("torch", words), ("torch", words), ("rich", words + " more"), ("rich", other)])
    )
    assert split.train["text"].to_list() == [words]
    assert split.held_out["text"].to_list() == [other]


def test_the_tokenizer_is_lossless_and_adds_nothing(tmp_path: Path) -> None:
    texts = ["Return the value.\n    x : int", "naïve café ☃ \t\x00 end", f"a {BOS_TOKEN} inside"]
    train_tokenizer(texts * 20, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.bos_token == tokenizer.eos_token == BOS_TOKEN
    assert tokenizer.bos_token_id == BOS_ID
    for text, ids in zip(texts, encode_texts(tmp_path, texts), strict=True):
        assert BOS_ID not in ids
        assert tokenizer.decode(ids.tolist()) == text
    plain = texts[0]
    assert tokenizer(plain)["input_ids"] == encode_texts(tmp_path, [plain])[0].tolist()

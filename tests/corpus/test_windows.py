"""Examples hold every token of their texts once; subsets nest."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.corpus.subsets import SIZES, seeded_order, subset
from precompute.corpus.texts import text_id
from precompute.corpus.windows import SCHEMA, cut_windows, n_rows
from precompute.errors import CorpusError


def table_of(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"text_id": [text_id(t) for t in texts], "text": texts}, schema=["text_id", "text"])


def encode(texts: list[str]) -> list[list[int]]:
    return [[ord(c) for c in text] for text in texts]


TEXTS = st.lists(st.text("abc", max_size=30), min_size=1, max_size=20)


@settings(max_examples=80)
@given(texts=TEXTS, n_ctx=st.integers(2, 9), bos=st.sampled_from([None, 7]), seed=st.integers(0, 3))
def test_every_token_of_every_text_is_in_exactly_one_window(
    texts: list[str], n_ctx: int, bos: int | None, seed: int
) -> None:
    corpus = table_of(texts)
    windows = cut_windows(corpus, seeded_order(corpus["text_id"], seed), encode, n_ctx, bos, None)
    assert dict(windows.schema) == SCHEMA
    assert windows["example"].to_list() == list(range(windows.height))
    rebuilt = ["" for _ in texts]
    for row in windows.iter_rows(named=True):
        ids = row["token_ids"]
        assert 0 < len(ids) - row["n_special"] <= n_ctx - row["n_special"]
        assert ids[: row["n_special"]] == ([] if bos is None else [bos])
        assert row["start"] == len(rebuilt[row["text_index"]])
        rebuilt[row["text_index"]] += "".join(chr(i) for i in ids[row["n_special"] :])
    assert rebuilt == texts
    assert n_rows(windows) == sum(map(len, texts))


@settings(max_examples=50)
@given(texts=TEXTS, limit=st.integers(1, 10))
def test_a_limit_takes_a_beginning_of_the_same_order(texts: list[str], limit: int) -> None:
    corpus = table_of(texts)
    order = seeded_order(corpus["text_id"], 0)
    key = ["text_index", "chunk"]
    some = cut_windows(corpus, order, encode, 5, None, limit).select(key).rows()
    more = cut_windows(corpus, order, encode, 5, None, limit + 3).select(key).rows()
    everything = cut_windows(corpus, order, encode, 5, None, None).select(key).rows()
    assert len(some) == min(limit, len(everything))
    assert set(some) <= set(more) <= set(everything)
    assert some == sorted(some)


@settings(max_examples=30)
@given(n=st.integers(1, 300), seed=st.integers(0, 5))
def test_named_subsets_nest_and_keep_the_corpus_order(n: int, seed: int) -> None:
    corpus = table_of([f"text {i}" for i in range(n)])
    toy, tiny, full = (subset(corpus, size, seed) for size in ("toy", "tiny", "full"))
    assert toy.height == min(n, SIZES["toy"] or n)
    assert set(toy["text_id"]) <= set(tiny["text_id"]) <= set(full["text_id"])
    positions = [corpus["text_id"].to_list().index(t) for t in toy["text_id"]]
    assert positions == sorted(positions)


def test_an_added_text_moves_no_other() -> None:
    before, after = table_of(["a", "b", "c"]), table_of(["x", "a", "b", "c"])
    order = [before["text"][int(i)] for i in seeded_order(before["text_id"], 1)]
    longer = [after["text"][int(i)] for i in seeded_order(after["text_id"], 1)]
    assert [text for text in longer if text != "x"] == order


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(CorpusError, match="toy, tiny, small, medium, full"):
        subset(table_of(["a"]), "huge")
    assert np.array_equal(seeded_order(pl.Series(["a", "b"]), 0), seeded_order(pl.Series(["a", "b"]), 0))

"""Rows of a sweep: positions by each strategy, and beginnings that nest."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.corpus.texts import text_id
from precompute.errors import CorpusError
from precompute.sweeps.rows import SHARD_EXAMPLES, PositionRule, ordered_texts, plan_rows
from precompute.sweeps.settings import DataSettings

STRATEGIES = st.sampled_from(["random", "last", "even"])


def encode(texts: object) -> list[list[int]]:
    return [[ord(c) % 50 + 2 for c in text] for text in texts]  # type: ignore[attr-defined]


def texts_of(n: int) -> pl.DataFrame:
    texts = [f"text {i} " * (1 + i % 5) for i in range(n)]
    return pl.DataFrame(
        {"text_id": [text_id(t) for t in texts], "text": texts, "package": ["a", "b"] * (n // 2)}
    )


@given(STRATEGIES, st.integers(1, 12), st.integers(0, 9), st.integers(0, 2), st.integers(1, 30))
def test_positions_are_distinct_and_allowed(
    strategy: str, n: int, min_pos: int, n_special: int, n_tokens: int
) -> None:
    rule = PositionRule(n, min_pos, strategy, 3)  # type: ignore[arg-type]
    found = rule.chosen("t", 1, n_special, n_tokens)
    allowed = range(max(n_special, min_pos), n_tokens)
    assert len(found) == min(n, len(allowed))
    assert found == sorted(set(found))
    assert set(found) <= set(allowed)


def test_strategies_take_what_they_say() -> None:
    assert PositionRule(2, 1, "last", 0).chosen("t", 0, 1, 9) == [7, 8]
    assert PositionRule(2, 1, "even", 0).chosen("t", 0, 1, 9) in ([2, 6], [3, 6], [3, 7])
    drawn = [PositionRule(1, 1, "random", seed).chosen("t", 0, 1, 101)[0] for seed in range(300)]
    assert min(drawn) < 12
    assert max(drawn) > 90
    few, more = (PositionRule(n, 1, "random", 0).chosen("t", 0, 1, 60) for n in (3, 4))
    assert set(few) < set(more)
    assert PositionRule(1, 1, "last", 4).identity() == PositionRule(1, 1, "last", 5).identity()
    assert PositionRule(1, 1, "random", 4).identity() != PositionRule(1, 1, "random", 5).identity()


def test_a_smaller_sweep_uses_the_first_rows_of_a_larger_one() -> None:
    texts, rule = ordered_texts(texts_of(120), DataSettings()), PositionRule(2, 1, "random", 0)
    whole = plan_rows(texts, encode, 10, 0, rule, None)
    few = plan_rows(texts, encode, 10, 0, rule, 70)
    assert [len(s) for s in few.shards] == [len(s) for s in whole.shards[: len(few.shards)]]
    assert len(few.shards) == -(-70 // SHARD_EXAMPLES)
    for a, b in zip(few.shards, whole.shards, strict=False):
        assert (a.examples, a.text_ids, a.chunks) == (b.examples, b.text_ids, b.chunks)
        assert (a.position == b.position).all()
    assert whole.n_rows == sum(len(s) for s in whole.shards)
    assert few.shards[-1].n_used == int((few.shards[-1].example < 70).sum()) < len(few.shards[-1])


def test_texts_come_once_in_an_order_that_more_texts_do_not_change() -> None:
    table = texts_of(40)
    order = ordered_texts(pl.concat([table, table[:5]]), DataSettings())["text_id"].to_list()
    assert sorted(order) == sorted(table["text_id"])
    fewer = ordered_texts(table[:30], DataSettings())["text_id"].to_list()
    assert [t for t in order if t in fewer] == fewer
    held = ordered_texts(table, DataSettings(held_out={"package": ("b",)}))
    assert held.height == 20


def test_nothing_to_take_is_said() -> None:
    texts = ordered_texts(texts_of(4), DataSettings())
    with pytest.raises(CorpusError, match=r"lower `eval.min_pos`"):
        plan_rows(texts, encode, 10, 0, PositionRule(1, 50, "last", 0), None)
    with pytest.raises(CorpusError, match="no text for the sweep"):
        ordered_texts(texts_of(4), DataSettings(held_out={"package": ("none",)}))

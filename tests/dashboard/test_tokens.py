"""The pages of tokens say what the artifacts say; searches find tokens as people write them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.address import AddressError
from dashboard.components.token_texts import marked_text
from dashboard.grid import Sort
from dashboard.pages import token, tokens
from dashboard.queries import Queries
from dashboard.questions import tokens as asked
from dashboard.sorted_rows import sorts_of_request, sorts_of_text
from dashboard.token_names import searched, unescaped
from dashboard.token_view import label
from tests.dashboard.made_artifacts import D_SAE, D_VOCAB, PlainArtifacts

EVERY_TOKEN = range(D_VOCAB)


def test_one_row_a_token(queries: Queries, artifacts: PlainArtifacts) -> None:
    table = asked.token_table(queries)
    vocabulary = artifacts.table("vocabulary")
    assert table["token_id"].to_list() == list(EVERY_TOKEN)
    assert table["token"].to_list() == vocabulary["token"].to_list()
    assert table["n_rows"].sum() == artifacts.row_store().n_rows
    assert table["idf"].to_list() == artifacts.table("idf")["idf"].to_list()


@pytest.mark.parametrize("token_id", EVERY_TOKEN)
def test_a_token_is_found_by_its_text_its_label_and_its_id(queries: Queries, token_id: int) -> None:
    row = asked.token_table(queries).row(token_id, named=True)
    for search in (row["token"][:200], label(row["token"]), f"#{token_id}", str(token_id)):
        if search and len(search) <= 200 and "more characters" not in search:
            assert token_id in asked.token_order(queries, search, ())["token_id"].to_list(), search


def test_the_best_fit_comes_first(queries: Queries) -> None:
    found = asked.token_order(queries, "word0", ())["token"].to_list()
    assert found[0] == " word0"
    assert asked.token_order(queries, "nothing-is-like-this", ()).is_empty()


@given(st.text(max_size=40))
def test_text_without_signs_and_backslashes_means_itself(text: str) -> None:
    if not set(text) & set("\\␣↵⇥⟨⟩"):
        assert unescaped(text) == text


@pytest.mark.parametrize("value", [1, ["a"], {}, "x" * 300, True])
def test_forged_searches_are_refused(value: object) -> None:
    with pytest.raises(AddressError):
        searched(value)


@pytest.mark.parametrize("value", [-1, D_VOCAB, "x", None, 1.5, True, "1e3", [], "٣"])
def test_a_token_that_does_not_exist(queries: Queries, value: object) -> None:
    with pytest.raises(AddressError, match=f"0 to {D_VOCAB - 1}"):
        asked.known_token(queries, value)


@pytest.mark.parametrize("token_id", [0, 1, 7, 30, 59])
def test_pushes_are_the_strongest_of_all_effects(
    queries: Queries, artifacts: PlainArtifacts, token_id: int
) -> None:
    effects = artifacts.array("directions").astype(float) @ artifacts.array("unembed")[:, token_id]
    np.testing.assert_allclose(asked.all_effects(queries, token_id), effects, rtol=1e-5, atol=1e-6)
    order = np.argsort(-effects, kind="stable")
    up, down = (asked.strongest_pushes(queries, token_id, way) for way in ("promotes", "suppresses"))
    assert [push.feature for push in up] == order[: len(up)].tolist()
    assert [push.feature for push in down] == order[::-1][: len(down)].tolist()
    table = asked.effect_table(queries, token_id)
    assert table["feature"].to_list() == order.tolist()
    assert table.height == D_SAE


def test_every_text_with_a_token_is_shown_once(queries: Queries, artifacts: PlainArtifacts) -> None:
    windows = artifacts.table("windows").sort("example")
    index = queries.row_index()
    for token_id in (1, 5, 40):
        rows = [
            (example, position)
            for example, ids in enumerate(windows["token_ids"].to_list())
            for position in index.position[index.indptr[example] : index.indptr[example + 1]]
            if ids[position] == token_id
        ]
        texts = {windows["text_index"][example] for example, _ in rows}
        first = asked.occurrences(queries, token_id, 1)
        assert (first.n_rows, first.n_texts) == (len(rows), len(texts))
        shown = [
            one for p in range(first.n_pages) for one in asked.occurrences(queries, token_id, p + 1).shown
        ]
        assert len({one.text_id for one in shown}) <= len(shown) == len(texts)
        assert sum(one.n_here for one in shown) == len(rows)
        assert all((one.example, one.position) in rows for one in shown)
        for one in shown:
            ids = windows["token_ids"][one.example].to_list()
            assert [i for i, other in enumerate(ids) if other == token_id] == list(one.here)


@pytest.mark.parametrize("page", [0, -1, 10**6])
def test_a_page_of_texts_that_does_not_exist(queries: Queries, page: int) -> None:
    with pytest.raises(AddressError, match="1 to"):
        asked.occurrences(queries, 5, page)


def test_each_place_in_an_excerpt_is_marked(queries: Queries) -> None:
    one = next(one for one in asked.occurrences(queries, 5, 1).shown if len(one.here) > 1)
    text = str(marked_text(queries, one))
    assert f"/prompt?example={one.example}" in text
    assert text.count("'Mark'") == len([p for p in one.here if p < len(one.str_tokens)])


def test_rows_of_the_grid_are_sorted_and_counted(queries: Queries) -> None:
    request = {"startRow": 0, "endRow": 7, "sortModel": [{"colId": "idf", "sort": "desc"}]}
    rows, said = tokens.answer(queries, request, "")
    table = asked.token_table(queries).sort("idf", "token_id", descending=[True, False], nulls_last=True)
    assert [row["token_id"] for row in rows["rowData"]] == table["token_id"][:7].to_list()
    assert (rows["rowCount"], said) == (D_VOCAB, f"{D_VOCAB} tokens")
    assert "None of" in tokens.answer(queries, {}, "nothing-is-like-this")[1]


def test_the_grid_of_effects_is_sorted(queries: Queries) -> None:
    request = {"startRow": 0, "endRow": 24, "sortModel": [{"colId": "effect", "sort": "asc"}]}
    rows, said = token.answer(queries, request, 3)
    effects = [row["effect"] for row in rows["rowData"]]
    assert effects == sorted(effects)
    assert said == ""
    assert "expected" in token.answer(queries, request, "nope")[1]


@given(st.lists(st.tuples(st.sampled_from(["token_id", "idf", "n_rows"]), st.booleans()), max_size=3))
def test_sorts_survive_the_address(chosen: list[tuple[str, bool]]) -> None:
    sorts = tuple(Sort(name, descending) for name, descending in chosen)
    text = ",".join(f"{s.column}:{'desc' if s.descending else 'asc'}" for s in sorts)
    assert sorts_of_text(text, tokens.COLUMNS) == sorts
    models = [{"colId": s.column, "sort": "desc" if s.descending else "asc"} for s in sorts]
    assert sorts_of_request({"sortModel": models}, tokens.COLUMNS) == sorts


@pytest.mark.parametrize("text", ["nope", "idf:up", "token", "idf:desc,nope:asc"])
def test_odd_sorts_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        sorts_of_text(text, tokens.COLUMNS)


def test_shares_and_counts_agree(queries: Queries) -> None:
    """n_features counts what token_features lists, where it lists all."""
    table = asked.token_table(queries)
    for token_id in (2, 9, 33):
        listed = asked.features_on(queries, token_id)
        counted = table.row(token_id, named=True)
        assert listed.height == min(10, counted["n_features"])
        assert listed["n_active"].max() <= counted["n_rows"]
        best = listed.sort("rank")["feature"][0]
        assert counted["strongest"] == best
        assert pl.Series(listed["mean_act"]).is_sorted(descending=True)

"""What the pages ask the model, on a small real one: values, odd input, forged callbacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from dash import Dash

from dashboard.address import AddressError
from dashboard.app import create_app
from dashboard.questions.interventions import (
    MOST_TOKENS,
    Writing,
    change_of,
    outcome_of,
    plan_of,
    together,
    writing_of,
)
from dashboard.questions.passages import (
    LONGEST_TEXT,
    Passage,
    checked_text,
    feature_list,
    inspect,
    matching_tokens,
    passage_of,
    read,
    uses,
)
from dashboard.settings import DashboardSettings
from precompute import open_artifacts, open_model
from precompute.models.interventions import Intervention, intervene
from precompute.models.opened import OpenedModel, Window
from precompute.reading import Artifacts
from tests.dashboard.test_app import call, page
from tests.tiny import D_SAE, TinyFiles

READ = "..prompt-results.children...prompt-data.data.."
SPECIAL = "<|endoftext|> <s> <br> &lt; \u202e\u200b\x00 שלום"


@pytest.fixture(scope="module")
def artifacts(computed: TinyFiles) -> Artifacts:
    return open_artifacts("mine", computed.root / "data", computed.config)


@pytest.fixture(scope="module")
def app(artifacts: Artifacts) -> Iterator[Dash]:
    made = create_app(DashboardSettings(model_type="mine"), artifacts)
    yield made
    made.server.config["QUERIES"].inference.close()


@pytest.fixture(scope="module")
def queries(app: Dash) -> Any:
    return app.server.config["QUERIES"]


@pytest.fixture(scope="module")
def model(computed: TinyFiles) -> OpenedModel:
    return open_model("mine", computed.config, "cpu")


def sentence(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    assert "Traceback" not in answer.text
    return str(answer.text)


# A text.


@pytest.mark.parametrize("example", [0, 5, 40])
def test_an_example_gives_the_activations_of_the_store(
    queries: Any, artifacts: Artifacts, example: int
) -> None:
    found = read(queries, Passage(example=example))
    store = artifacts.row_store()
    assert found.position.tolist() == store.example_positions(example).tolist()
    for place, row in enumerate(store.example_rows(example)):
        features, acts = store.row(row)
        own = slice(found.indptr[place], found.indptr[place + 1])
        assert found.features[own].tolist() == np.asarray(features).tolist()
        np.testing.assert_allclose(found.acts[own], acts, rtol=1e-4, atol=1e-5)


def test_a_text_of_the_corpus_gives_the_activations_of_the_store(queries: Any, artifacts: Artifacts) -> None:
    windows = artifacts.table("windows").filter(pl.col("chunk") == 0)
    row = windows.row(20, named=True)
    text = artifacts.table("corpus").filter(pl.col("text_index") == row["text_index"])["text"][0]
    found = read(queries, Passage(text=text))
    assert list(found.windows[0].token_ids) == row["token_ids"]
    stored = read(queries, Passage(example=row["example"]))
    n = stored.n_rows
    assert found.features[: found.indptr[n]].tolist() == stored.features.tolist()
    np.testing.assert_allclose(found.acts[: found.indptr[n]], stored.acts, rtol=1e-4, atol=1e-5)


def test_uses_are_those_of_the_dense_array(queries: Any) -> None:
    found = read(queries, Passage(text="return the value of a list or array in order"))
    dense = np.zeros((found.n_rows, D_SAE))
    rows = np.repeat(np.arange(found.n_rows), np.diff(found.indptr))
    dense[rows, found.features] = found.acts
    listed = uses(found)
    assert [use.maximum for use in listed] == sorted((use.maximum for use in listed), reverse=True)
    assert {use.feature for use in listed} == set(np.flatnonzero(dense.any(axis=0)).tolist())
    for use in listed:
        column = dense[:, use.feature]
        expected = (column.max(), column.mean(), (column > 0).sum())
        assert (use.maximum, use.mean, use.count) == pytest.approx(expected)


def test_what_looks_special_is_text_and_nothing_is_lost(queries: Any) -> None:
    found = read(queries, Passage(text=SPECIAL))
    tokens = [token for window in found.windows for token in window.str_tokens[window.n_special :]]
    ids = [i for window in found.windows for i in window.token_ids[window.n_special :]]
    assert 0 not in ids
    assert "".join(tokens).startswith("<|endoftext|> <s> <br> &lt;")


def test_contributions_are_to_the_chosen_token_and_add_up(queries: Any, model: OpenedModel) -> None:
    passage = Passage(text="open the file and read")
    found = read(queries, passage)
    place = found.place(2)
    token = 17
    looked = inspect(queries, passage, place, token)
    assert looked.chosen.token_id == token
    assert looked.contributions is not None
    own = slice(found.indptr[2], found.indptr[3])
    assert looked.features.tolist() == found.features[own].tolist()
    effect = (model.directions[looked.features] @ model.unembed[:, token]).numpy()
    np.testing.assert_allclose(looked.contributions, looked.acts * looked.unit * effect, rtol=1e-4)
    likely = [candidate.probability for candidate in looked.likely]
    assert likely == sorted(likely, reverse=True)
    best = inspect(queries, passage, place, None)
    assert best.chosen == best.likely[0]


def test_searching_for_a_next_token(queries: Any) -> None:
    vocabulary = queries.vocabulary()
    for number, token in matching_tokens(queries, "re"):
        assert "re" in token
        assert vocabulary[number] == token
    assert (5, vocabulary[5]) in matching_tokens(queries, "5")
    assert matching_tokens(queries, "\U0001f9ff" * 200) == []


# An intervention.


def test_an_outcome_is_that_of_the_intervention(queries: Any, model: OpenedModel) -> None:
    given = {
        "effect": "set:3.5",
        "text": "return the value of a list",
        "at": 3,
        "also": "7, 9",
        "draw": "4:0:0",
    }
    plan = plan_of(queries, 5, given)
    assert plan.features == (5, 7, 9)
    found = outcome_of(queries, plan)
    (window,) = model.windows("return the value of a list")
    position = window.n_special + 3
    expected = intervene(model, window, Intervention((5, 7, 9), "set", 3.5), position)
    assert (found.at, found.window, found.position) == (3, 0, position)
    for candidate, after in zip(found.candidates, found.after, strict=True):
        assert candidate.probability == pytest.approx(float(expected.before[candidate.token_id]), rel=1e-5)
        assert after == pytest.approx(float(expected.after[candidate.token_id]), rel=1e-5)
    assert found.kl == pytest.approx(expected.kl, rel=1e-5)
    assert found.loss_after == pytest.approx(expected.loss_after, rel=1e-6)
    sizes = [abs(change.after - change.before) for change in found.changes]
    assert sizes == sorted(sizes, reverse=True)
    assert not {change.feature for change in found.changes} & {5, 7, 9}
    assert len(found.plain.token_ids) <= 4


def test_the_usual_token_is_where_the_feature_fires_most(queries: Any) -> None:
    text = "return the value of a list or array in order"
    found = read(queries, Passage(text=text))
    strongest = int(found.acts.argmax())
    feature = int(found.features[strongest])
    row = int(np.searchsorted(found.indptr, strongest, side="right")) - 1
    assert outcome_of(queries, plan_of(queries, feature, {"effect": "zero", "text": text})).at == row
    silent = next(f for f in range(D_SAE) if f not in found.features)
    outcome = outcome_of(queries, plan_of(queries, silent, {"effect": "zero", "text": text}))
    assert outcome.at == found.n_rows - 1
    assert outcome.kl == 0
    assert outcome.plain == outcome.changed


def test_one_token_alone_is_changed(queries: Any, model: OpenedModel) -> None:
    given = {
        "effect": "add:6",
        "text": "open the file and read it",
        "at": 2,
        "places": "one",
        "draw": "0:0:0",
    }
    found = outcome_of(queries, plan_of(queries, 3, given))
    assert {change.position for change in found.changes} == {found.position}
    (window,) = model.windows("open the file and read it")
    chosen = Intervention((3,), "add", 6.0, (found.position,))
    expected = intervene(model, Window(window.token_ids, window.n_special), chosen, found.position)
    assert found.mean_kl == pytest.approx(expected.mean_kl, rel=1e-5)


def test_a_named_set_is_changed_together(queries: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = SimpleNamespace(set_features=lambda name: {"pair": (4, 8)}[name], sets=lambda: [])
    monkeypatch.setattr(queries, "labels", kept, raising=False)
    assert together(queries, 8, {"set": "pair", "also": "2"}) == (8, 2, 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("zero", ("zero", 0.0)), ("set:3.5", ("set", 3.5)), ("add:-2", ("add", -2.0)), ("set:0", ("set", 0.0))],
)
def test_changes_in_an_address(value: str, expected: object) -> None:
    assert change_of(value) == expected


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "one",
        "zero:1",
        "set",
        "set:",
        "set:nan",
        "set:inf",
        "set:1e5",
        "add:9999999",
        "set:١",
        None,
        3,
        [],
    ],
)
def test_odd_changes_are_refused(odd: object) -> None:
    with pytest.raises(AddressError, match="expected zero, set:NUMBER or add:NUMBER"):
        change_of(odd)


def test_how_much_is_written_on() -> None:
    assert writing_of(None) == Writing()
    assert writing_of(str(Writing(12, 0.7, 5))) == Writing(12, 0.7, 5)
    for odd in (f"{MOST_TOKENS + 1}:0:0", "1:11:0", "1:0:-1", "1.5:0:0", "1:0", "a:b:c", 3, "1:0:0:0"):
        with pytest.raises(AddressError, match="tokens:temperature:seed"):
            writing_of(odd)


# Odd input.


def test_texts_that_cannot_be_read() -> None:
    assert checked_text("x" * LONGEST_TEXT)
    for odd in ("x" * 100_000, "half \udc00", None, 3, {"a": 1}):
        with pytest.raises(AddressError):
            checked_text(odd)


@pytest.mark.parametrize(
    "odd", ["1,2,x", "-1", f"{D_SAE}", ",".join(map(str, range(21))), 3, ["1"], "1 " * 300]
)
def test_odd_lists_of_features(queries: Any, odd: object) -> None:
    with pytest.raises(AddressError):
        feature_list(queries, odd, "pinned features")


def test_lists_of_features(queries: Any) -> None:
    assert feature_list(queries, "5, 3 5,8", "pinned features") == (5, 3, 8)
    assert feature_list(queries, "", "pinned features") == ()


@pytest.mark.parametrize("odd", [-1, 10**8, "x", True, [], "1.5"])
def test_odd_examples(queries: Any, odd: object) -> None:
    with pytest.raises(AddressError, match="example"):
        passage_of(queries, None, odd)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"text": "x" * 100_000}, " text of 100,000 characters; expected at most 10,000"),
        ({"length": 100_000}, " text of 100,000 characters; expected at most 10,000"),
        ({"length": "many"}, "expected at most 10,000"),
        ({"text": ""}, "This text has no token"),
        ({"text": 5}, "expected text"),
        ({"text": None}, "expected text"),
        ({"example": 10**9}, "expected a whole number from 0"),
        ({"example": "__class__"}, "expected a whole number from 0"),
        ({"lost": True}, "too long for an address"),
        ([], "This text has no token"),
        ("text", "This text has no token"),
    ],
)
def test_odd_texts_get_a_sentence(app: Dash, asked: object, words: str) -> None:
    assert words in sentence(call(app, READ, {"prompt-asked.data": asked}))


@pytest.mark.parametrize("place", [-1, 10**6, "x", [], {}, 1.5, True])
@pytest.mark.parametrize("following", [None, -1, 10**7, "x", {}])
def test_forged_tokens_get_a_sentence(app: Dash, place: object, following: object) -> None:
    inputs = {"prompt-place.data": place, "prompt-next.data": following, "prompt-token.id": "prompt-token"}
    answer = call(app, "prompt-token.children", inputs, {"prompt-asked.data": {"text": "return the value"}})
    assert "expected" in sentence(answer)


@pytest.mark.parametrize("following", [-1, 10**7, "x", {}])
def test_a_next_token_that_is_none_gets_a_sentence(app: Dash, following: object) -> None:
    inputs = {"prompt-place.data": 1, "prompt-next.data": following, "prompt-token.id": "prompt-token"}
    answer = call(app, "prompt-token.children", inputs, {"prompt-asked.data": {"text": "return the value"}})
    assert "expected" in sentence(answer)


@pytest.mark.parametrize(
    "asked",
    [
        {"effect": "zero"},
        {"effect": "zero", "text": ""},
        {"effect": "zero", "text": "x" * 100_000},
        {"effect": "zero", "length": 10**6},
        {"effect": "zero", "on": -3},
        {"effect": "set:many", "text": "a"},
        {"effect": "zero", "text": "a list", "at": 99},
        {"effect": "zero", "text": "a list", "at": "x"},
        {"effect": "zero", "text": "a list", "also": str(D_SAE)},
        {"effect": "zero", "text": "a list", "set": "no such"},
        {"effect": "zero", "text": "a list", "places": "two"},
        {"effect": "zero", "text": "a list", "draw": "1000:0:0"},
        {"effect": {"a": 1}, "text": ["a"]},
        "zero",
        [],
    ],
)
def test_forged_interventions_get_a_sentence(app: Dash, asked: object) -> None:
    answer = call(app, "effect-results.children", {"effect-asked.data": asked}, {"feature-number.data": 3})
    assert "expected" in sentence(answer)


@pytest.mark.parametrize("number", [-1, "abc", None, [], 10**9, True])
def test_forged_features_get_a_sentence(app: Dash, number: object) -> None:
    asked = {"effect": "zero", "text": "a list"}
    answer = call(
        app, "effect-results.children", {"effect-asked.data": asked}, {"feature-number.data": number}
    )
    assert "expected" in sentence(answer)


@pytest.mark.parametrize(
    "asked",
    [
        {"source": "written", "a": "", "b": "x"},
        {"source": "written", "a": "x" * 100_000, "b": "x"},
        {"source": "written", "a": "x\n" * 300, "b": "x"},
        {"source": "written", "a": 3, "b": []},
        {"source": "written", "a": "x", "b": "y", "split": "words"},
        {"source": "corpus", "a": "source:s0", "b": "source:s0"},
        {"source": "corpus", "a": None, "b": "source:s0"},
        {"source": "corpus", "a": "nope:1"},
        {"length": 10**6},
    ],
)
def test_odd_contrasts_get_a_sentence(app: Dash, asked: object) -> None:
    inputs = {"contrast-asked.data": asked, "contrast-measure.value": "mean"}
    assert "expected" in sentence(call(app, "contrast-results.children", inputs))


@pytest.mark.parametrize("odd", [{"source": "web"}, {"source": []}])
def test_forged_contrasts_get_a_sentence(app: Dash, odd: object) -> None:
    for asked, measure in ((odd, "mean"), ({"a": "x", "b": "y"}, "median"), ({"a": "x", "b": "y"}, {})):
        inputs = {"contrast-asked.data": asked, "contrast-measure.value": measure}
        assert "expected" in sentence(call(app, "contrast-results.children", inputs))


@pytest.mark.parametrize(
    ("path", "search"),
    [
        ("/prompt", "?mode=poem"),
        ("/prompt", "?text=a&example=3"),
        ("/prompt", "?example=-1"),
        ("/prompt", "?text=a&pins=x"),
        ("/prompt", "?text=a&token=-1"),
        ("/prompt", "?text=a&next=%00"),
        ("/prompt", "?text=" + "a" * 100_000),
        ("/prompt", "?mode=contrast&measure=median"),
        ("/prompt", "?mode=contrast&source=web"),
        ("/prompt", "?mode=contrast&split=words"),
        ("/feature/3", "?effect=explode"),
        ("/feature/3", "?effect=zero&on=-1"),
        ("/feature/3", "?effect=zero&also=x"),
        ("/feature/3", "?effect=zero&draw=1"),
    ],
)
def test_odd_addresses_get_a_sentence(app: Dash, path: str, search: str) -> None:
    shown = page(app, path, search)
    assert "expected" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "search", ["", "?text=a", "?text=", "?example=3&feature=5", "?kept=abc", "?mode=contrast"]
)
def test_the_page_is_drawn_without_the_model(app: Dash, search: str) -> None:
    shown = page(app, "/prompt", search)
    assert "Nothing to show" not in shown
    assert json.loads(shown)


def test_a_feature_that_is_drawn_asks_nothing(
    queries: Any, app: Dash, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the model was asked")

    monkeypatch.setattr(queries.inference, "ask", refuse)
    assert "effect-run" in page(app, "/feature/3")
    assert "effect-run" in page(app, "/feature/3", "?effect=zero&on=2")

"""Features side by side: rows, examples and tokens against slow references; odd requests get a sentence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from dash import Dash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dashboard.address import AddressError
from dashboard.app import create_app
from dashboard.queries import Queries
from dashboard.questions.comparison import (
    MOST,
    N_EXAMPLES,
    features_of,
    one_of_features,
    overlap,
    shared_examples,
)
from dashboard.questions.token_comparison import N_TOKENS, compare, compared_tokens
from tests.builders import DENSE, SILENT, dense_matrix
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts
from tests.dashboard.test_app import SETTINGS, call, page

CHOICES = ((DENSE, 5), (5, 12, SILENT), (SILENT, DENSE), tuple(range(MOST)))


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


@pytest.fixture(scope="module")
def dense(artifacts: PlainArtifacts) -> np.ndarray:
    """float64 [n_rows, d_sae]"""
    return dense_matrix(artifacts.row_store()).astype(np.float64)


@pytest.mark.parametrize("features", CHOICES)
def test_overlap_counts_rows(queries: Queries, dense: np.ndarray, features: tuple[int, ...]) -> None:
    found, acts = overlap(queries, features), dense[:, features]
    fires = acts > 0
    assert found.n_rows == len(dense)
    assert found.n_any == fires.any(axis=1).sum()
    assert found.n_all == fires.all(axis=1).sum()
    for a in range(len(features)):
        for b in range(len(features)):
            both, either = (fires[:, a] & fires[:, b]).sum(), (fires[:, a] | fires[:, b]).sum()
            assert found.n_both[a, b] == both
            assert np.isnan(found.jaccard[a, b]) if not either else found.jaccard[a, b] == both / either
            chance = fires[:, a].mean() * fires[:, b].mean()
            if chance:
                assert found.lift[a, b] == pytest.approx(both / len(dense) / chance)
                expected = np.corrcoef(acts[:, a], acts[:, b])[0, 1]
                assert found.pearson[a, b] == pytest.approx(expected, abs=1e-6)
            else:
                assert np.isnan(found.lift[a, b])
                assert np.isnan(found.pearson[a, b])


@pytest.mark.parametrize("features", CHOICES)
def test_shared_examples(
    queries: Queries, artifacts: PlainArtifacts, dense: np.ndarray, features: tuple[int, ...]
) -> None:
    store = artifacts.row_store()
    of_row = store.locate(np.arange(store.n_rows)).example
    maxima = np.stack(
        [dense[of_row == e][:, features].max(axis=0, initial=0) for e in range(store.n_examples)]
    )
    firing = (maxima > 0).sum(axis=1)
    found = shared_examples(queries, features, features[0], features[1])
    assert found.n_shared == (firing > 1).sum()
    assert found.n_by_all == (firing == len(features)).sum()
    assert len(found.examples) <= N_EXAMPLES
    assert bool(found.examples) == bool(found.n_shared)
    shown = [one.example.example for one in found.examples]
    counts = [firing[example] for example in shown]
    assert counts == sorted(counts, reverse=True)
    assert not counts or (counts[0] == firing.max() and min(counts) > 1)
    assert len({one.example.text_id for one in found.examples}) == len(shown)
    for one in found.examples:
        np.testing.assert_allclose(one.maxima, maxima[one.example.example], rtol=1e-6)
        for layer, feature in ((one.example.acts, features[0]), (one.second, features[1])):
            reference = artifacts.example(one.example.example, feature).acts
            np.testing.assert_array_equal(np.nan_to_num(layer), np.nan_to_num(reference))


EFFECTS = hnp.arrays(
    np.float32, st.tuples(st.integers(2, 5), st.integers(1, 40)), elements=st.floats(-4, 4, width=16)
)


@given(EFFECTS)
def test_tokens_are_shared_or_opposed(effects: np.ndarray) -> None:
    names = [f"t{i}" for i in range(effects.shape[1])]
    found = compare(effects, names)
    for listed, holds in (
        (found.promoted, lambda e: (e > 0).all()),
        (found.suppressed, lambda e: (e < 0).all()),
        (found.opposed, lambda e: (e > 0).any() and (e < 0).any()),
    ):
        matching = {names[i] for i in range(len(names)) if holds(effects[:, i])}
        assert {one.token for one in listed} <= matching
        assert len(listed) == min(N_TOKENS, len(matching))
        for one in listed:
            assert list(one.effects) == effects[:, names.index(one.token)].tolist()


def test_the_strongest_tokens_come_first() -> None:
    effects = np.array([[1, 2, 3, -3, -1, 2], [3, 2, 1, 2, 2, -2]], dtype=np.float32)
    scaled = effects / effects.std(axis=1, keepdims=True)
    found = compare(effects, list("abcdef"))
    assert found.promoted[0].token == "abc"[int(np.argmax(scaled[:, :3].min(axis=0)))]
    opposed = {
        "d": min(-scaled[0, 3], scaled[1, 3]),
        "e": min(-scaled[0, 4], scaled[1, 4]),
        "f": min(scaled[0, 5], -scaled[1, 5]),
    }
    assert [one.token for one in found.opposed] == sorted(opposed, key=lambda t: -opposed[t])
    assert found.suppressed == ()


def test_effects_are_those_of_the_artifacts(queries: Queries, artifacts: PlainArtifacts) -> None:
    found = compared_tokens(queries, (3, 9))
    table = artifacts.table("influences")
    tokens = queries.vocabulary()
    effects = artifacts.array("directions")[[3, 9]] @ artifacts.array("unembed")
    for one in (*found.promoted, *found.opposed):
        assert one.token in tokens
        assert any(
            np.allclose(one.effects, effects[:, i]) for i in range(len(tokens)) if tokens[i] == one.token
        )
    strongest = table.filter(feature=3, direction="promotes", rank=0)["influence"][0]
    assert max(one.effects[0] for one in found.promoted) <= strongest * (1 + 1e-6)


def test_features_of_an_address(queries: Queries) -> None:
    assert features_of(queries, None) == features_of(queries, "") == ()
    assert features_of(queries, "7,3") == (7, 3)
    for odd in (
        "3,3",
        "3,-1",
        f"3,{D_SAE}",
        "a",
        ",",
        "3,,4",
        ",".join(map(str, range(11))),
        ["3"],
        3,
        "1e3",
    ):
        with pytest.raises(AddressError):
            features_of(queries, odd)
    assert one_of_features(None, (7, 3), 3) == 3
    assert one_of_features("7", (7, 3), 3) == 7
    for odd in ("5", "x", -1, [], True):
        with pytest.raises(AddressError):
            one_of_features(odd, (7, 3), 3)


@pytest.mark.parametrize("features", [*CHOICES, (1,), ()])
def test_the_page(app: Dash, features: tuple[int, ...]) -> None:
    shown = page(app, "/compare", f"?features={','.join(map(str, features))}" if features else "")
    for feature in features:
        assert f'"/feature/{feature}"' in shown
    assert ("Shared examples" in shown) == (len(features) > 1)
    assert ("choose 2 to 10 rows" in shown) == (len(features) < 2)
    assert ("Add feature" in shown) == (len(features) < MOST)


@pytest.mark.parametrize(
    "search",
    [
        "?features=1,1",
        "?features=99999",
        "?features=" + ",".join(map(str, range(11))),
        "?features=1,2&measure=eval",
        "?features=1,2&colour=3",
        "?features=1,2&under=-1",
        "?features=1&features=2",
        "?features=%00",
    ],
)
def test_odd_addresses_get_a_sentence(app: Dash, search: str) -> None:
    shown = page(app, "/compare", search)
    assert "expected" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "chosen", [None, [], [1], "1,2", [1, "x"], [1, 1], list(range(11)), [1, 10**9], {"a": 1}]
)
@pytest.mark.parametrize(
    ("output", "inputs"),
    [
        ("pairs.children", {"measure.value": "lift"}),
        ("shared-examples.children", {"colour.value": "1", "under.value": "2"}),
    ],
)
def test_forged_callbacks_get_a_sentence(
    app: Dash, output: str, inputs: dict[str, Any], chosen: object
) -> None:
    answer = call(app, output, inputs, {"compared.data": chosen})
    assert "expected" in json.dumps(answer.json["sideUpdate"])


def test_choices_are_checked(app: Dash) -> None:
    for output, inputs in (
        ("pairs.children", {"measure.value": "__class__"}),
        ("shared-examples.children", {"colour.value": "5", "under.value": "2"}),
    ):
        answer = call(app, output, inputs, {"compared.data": [1, 2]})
        assert "expected" in json.dumps(answer.json["sideUpdate"])
    right = call(app, "pairs.children", {"measure.value": "cosine"}, {"compared.data": [1, 2]})
    assert "cosine of the decoder" in right.text

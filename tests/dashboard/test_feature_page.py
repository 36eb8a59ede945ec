"""The feature page's sections: what the address and the callbacks may say, and the code that it offers."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from dash import Dash

from dashboard import formats
from dashboard.app import create_app
from dashboard.components.example_view import followers
from dashboard.components.feature_heading import random_feature
from dashboard.components.snippet import snippet
from dashboard.queries import Queries
from dashboard.sections import SECTIONS
from precompute import open_artifacts
from precompute.pipeline.registry import steps
from tests.builders import SILENT
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts
from tests.dashboard.test_app import SETTINGS, call, page
from tests.tiny import TinyFiles


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


EXAMPLES = ("band", "range", "where", "overlay", "bold")


def examples(app: Dash, feature: object = 5, **chosen: object) -> str:
    """What the list of examples becomes when something is chosen."""
    standard = {"band": "top", "range": "", "where": "", "overlay": "", "bold": "none"} | chosen
    inputs = {f"{name}.{'data' if name == 'range' else 'value'}": standard[name] for name in EXAMPLES}
    answer = call(app, "example-list.children", inputs, {"feature-number.data": feature})
    assert answer.status_code == 200
    return json.dumps(answer.json, ensure_ascii=False)


def activations(shown: str) -> list[str]:
    """The activations in the captions of examples."""
    return re.findall(r'"children": "([^"]+)", "className": "activation"', shown)


# The list of sections.


def test_every_section_can_be_linked_and_explains_itself() -> None:
    anchors = [section.anchor for section in SECTIONS]
    assert len(set(anchors)) == len(anchors)
    for section in SECTIONS:
        assert section.explanation.endswith("."), section.anchor
        assert section.steps
        assert set(section.steps) <= set(steps())


def test_every_section_stands_on_the_page_with_its_link(app: Dash) -> None:
    shown = page(app, "/feature/5")
    for section in SECTIONS:
        assert f'"href": "#{section.anchor}"' in shown
        assert f'"id": "{section.anchor}"' in shown


def test_ids_are_unique(app: Dash) -> None:
    ids = re.findall(r'"id": "([^"]+)"', page(app, "/feature/5"))
    assert [name for name, n in Counter(ids).items() if n > 1] == []


# Addresses.


@pytest.mark.parametrize(
    "search",
    [
        "?range=2:1",
        "?range=a",
        "?range=1:1e999",
        "?where=nope:1",
        "?where=example:-1",
        "?overlay=99999",
        "?overlay=x",
        "?bold=1",
        "?extent=all",
        "?scale=log2",
        "?band=q99",
    ],
)
def test_odd_choices_get_a_sentence(app: Dash, search: str) -> None:
    shown = page(app, "/feature/5", search)
    assert "expected" in shown
    assert "Traceback" not in shown


def test_a_view_is_restored_from_its_address(app: Dash, artifacts: PlainArtifacts) -> None:
    by_hand = activations(examples(app, range="1:2", where="package:package1"))
    by_address = activations(page(app, "/feature/5", "?range=1:2&where=package:package1"))
    assert by_hand == by_address
    assert by_hand
    assert '"value": "1:2"' in page(app, "/feature/5", "?range=1:2")


# Callbacks, as they are and forged.

FORGED = ["nope", 3, [], {"a": 1}, -1, True, "9" * 5000, "__class__", "\x00", "NaN:1"]


@pytest.mark.parametrize("value", FORGED)
def test_forged_choices_of_examples_get_a_sentence(app: Dash, value: object) -> None:
    for name in EXAMPLES:
        if name != "overlay" or value not in (3,):
            assert "expected" in examples(app, **{name: value}), name
    assert "expected" in examples(app, feature=value) or value == 3


@pytest.mark.parametrize("value", FORGED)
@pytest.mark.parametrize(
    ("output", "chosen"),
    [
        ("token-found.children", "token.value"),
        ("scatter-content.children", "with.value"),
        ("lens.data", "followers.data"),
    ],
)
def test_other_forged_callbacks_get_a_sentence(app: Dash, output: str, chosen: str, value: object) -> None:
    answer = call(app, output, {chosen: value}, {"feature-number.data": 5})
    assert answer.status_code == 200
    assert "Traceback" not in answer.text
    assert "Something went wrong" not in answer.text
    answer = call(app, output, {chosen: ""}, {"feature-number.data": value})
    assert "expected" in answer.text or value == 3


@pytest.mark.parametrize("value", FORGED)
def test_a_forged_feature_has_no_kinds_of_text(app: Dash, value: object) -> None:
    answer = call(app, "metadata-shares.children", {"feature-number.data": value})
    assert answer.status_code == 200
    assert "expected" in answer.text or value == 3


# What the sections say.


def test_examples_of_a_band(app: Dash, artifacts: PlainArtifacts) -> None:
    for band in ("top", "q1", "v2", "miss"):
        table = artifacts.table("examples").filter(feature=5, band=band).sort("rank")
        expected = [formats.decimal(a, 4) for a in table["activation"]]
        assert sorted(activations(examples(app, band=band))) == sorted(expected)


def test_a_second_feature_lies_over_the_examples(app: Dash, artifacts: PlainArtifacts) -> None:
    largest = artifacts.table("feature_stats").filter(feature=1)["max"][0]
    shown = examples(app, overlay="1")
    assert f"{formats.decimal(largest, 4)[:4]}" in shown
    assert "maximum of feature 1" in shown
    assert " · second feature " in shown
    assert " · second feature " not in examples(app)


def test_typical_tokens_are_bold(app: Dash, queries: Queries, artifacts: PlainArtifacts) -> None:
    assert '"bold"' not in examples(app).replace('"id": "bold"', "")
    assert "bold" in examples(app, bold="tfidf")


def test_the_lens_is_activation_times_effect(app: Dash, queries: Queries, artifacts: PlainArtifacts) -> None:
    """The next tokens that a page asks about are exactly those after active ones; effects as computed."""
    listed = queries.examples(5, "top")
    expected = {
        int(e.token_ids[p + 1])
        for e in listed
        for p in range(len(e.token_ids) - 1)
        if np.nan_to_num(e.acts[p]) > 0
    }
    asked = followers(listed)
    assert asked == sorted(expected)
    answer = call(app, "lens.data", {"followers.data": asked}, {"feature-number.data": 5})
    found = answer.json["response"]["lens"]["data"]
    directions = np.load(artifacts.directory / "directions.npy").astype(np.float64)
    effects = directions[5] @ np.load(artifacts.directory / "unembed.npy")
    assert {int(i): value for i, (_, value) in found.items()} == pytest.approx(
        {i: float(effects[i]) for i in asked}, abs=1e-5
    )


def test_a_silent_feature_says_so_everywhere(app: Dash) -> None:
    shown = page(app, f"/feature/{SILENT}")
    assert shown.count("This feature never fires") >= 3
    for range_ in ("", "0:1"):
        assert "never fires" in examples(app, SILENT, range=range_)
    answer = call(app, "metadata-shares.children", {"feature-number.data": SILENT})
    assert "never fires" in answer.text


def test_every_feature_in_every_band(app: Dash, queries: Queries) -> None:
    for feature in range(D_SAE):
        for band in queries.bands(feature):
            assert "Something went wrong" not in examples(
                app, feature, band=band.name, where="package:package0"
            )


def test_random_leads_to_features_that_fire(queries: Queries, artifacts: PlainArtifacts) -> None:
    firing = set(artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0)["feature"])
    drawn = {random_feature(queries, np.random.default_rng(seed)) for seed in range(300)}
    assert drawn == firing


# Code that works as pasted.


@pytest.fixture(scope="module")
def mine(computed: TinyFiles) -> Queries:
    data, config = computed.root / "data", computed.config
    return Queries(open_artifacts("mine", data, config), f" --config {config} --data-dir {data}")


def test_the_snippet_runs_as_pasted(mine: Queries) -> None:
    stats = mine.artifacts.table("feature_stats")
    chosen = stats.sort("n_nonzero")["feature"]
    for feature in (chosen[0], chosen[-1], 7):
        given: dict[str, Any] = {}
        exec(compile(snippet(mine, feature), "pasted", "exec"), given)
        assert given["statistics"].equals(stats.filter(feature=feature))
        assert len(given["activations"].rows) == stats["n_nonzero"][feature]
        promoted = given["tokens"].filter(direction="promotes").sort("rank")
        best = int(np.argmax(given["effects"]))
        assert promoted["influence"][0] == pytest.approx(float(given["effects"][best]), rel=1e-4)
        if "examples" in given:
            assert given["text"].acts.shape == (len(given["text"].str_tokens),)
            assert np.nanmax(given["text"].acts) > 0 or given["examples"]["band"][0] == "miss"


def test_the_snippet_names_only_what_is_there(queries: Queries) -> None:
    assert "examples" in snippet(queries, 5)
    assert "examples" not in snippet(queries, SILENT)
    assert "influences" in snippet(queries, SILENT)

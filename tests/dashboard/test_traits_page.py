"""The page of traits says what the files say; tokens and steering are those of the model that is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from dashboard.address import Address, AddressError
from dashboard.app import create_app
from dashboard.components import trait_panels
from dashboard.pages import traits as page
from dashboard.queries import Queries
from dashboard.questions import traits
from dashboard.questions.traits import View
from dashboard.sections import traits as section
from dashboard.settings import DashboardSettings
from precompute.artifacts.digests import DigestCache
from precompute.extraction.text_model import TextModel
from precompute.pipeline.sources import model_digest
from precompute.reading import open_artifacts
from tests.extraction.made_trait import trait_made
from tests.tiny import TinyFiles

SITE = "blocks.1.hook_resid_post"
"""Where the tiny SAE reads."""


@pytest.fixture(scope="module")
def files(computed: TinyFiles) -> TinyFiles:
    return computed


@pytest.fixture(scope="module")
def data(computed: TinyFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model type's artifacts, and a trait of its model beside them."""
    found = tmp_path_factory.mktemp("traits")
    (found / "precomputed_mine").symlink_to(computed.root / "data" / "precomputed_mine")
    trait_made(found, computed.model)
    return found


@pytest.fixture(scope="module")
def queries(files: TinyFiles, data: Path) -> Any:
    found = Queries(open_artifacts("mine", data, files.config))
    yield found
    found.inference.close()


@pytest.fixture(scope="module")
def view(queries: Queries) -> View:
    return traits.view_of(queries, {"method": "probe"})


def test_the_view_is_where_the_sae_reads_and_the_address_chooses(queries: Queries, view: View) -> None:
    assert (view.trait.key, view.site, view.method) == ("mine/polite", SITE, "probe")
    assert traits.is_at_sae(queries, view)
    summaries = view.trait.result.summaries
    best = traits.view_of(queries, {}).method
    assert summaries[best]["sites"][SITE]["auc"] == max(
        one["sites"][SITE]["auc"] for one in summaries.values()
    )
    other = traits.view_of(
        queries, {"trait": "mine/polite", "site": "blocks.2.hook_resid_post", "method": "ica"}
    )
    assert not traits.is_at_sae(queries, other)
    for odd in (
        {"trait": "demo"},
        {"trait": "mine/rude"},
        {"site": "blocks.9"},
        {"method": "pca"},
        {"site": 3},
    ):
        with pytest.raises(AddressError):
            traits.view_of(queries, odd)


def test_figures_have_the_values_of_the_files(view: View, data: Path) -> None:
    place = data / "experiments" / "mine" / "polite" / "vectors"
    drawn = {one["name"]: one for one in trait_panels.separation_figure(view.trait)["data"]}
    for method, words in trait_panels.WORDS.items():
        sites = json.loads((place / f"{method}.json").read_text())["sites"]
        assert drawn[words]["y"] == [site["auc"] for site in sites.values()]
    table = pl.read_parquet(place / "projections.parquet").filter(
        pl.col("method") == "probe", pl.col("site") == SITE, pl.col("is_held_out")
    )
    positive, negative = traits.histograms(view)
    assert positive.counts.sum() == table["is_positive"].sum()
    assert negative.counts.sum() == (~table["is_positive"]).sum()
    assert positive.bin_edges.tolist() == negative.bin_edges.tolist()


def test_features_are_ranked_by_their_cosine(queries: Queries, view: View) -> None:
    directions = np.asarray(queries.artifacts.array("directions"), dtype=np.float64)
    cosines = directions @ view.direction / np.linalg.norm(directions, axis=1)
    found = traits.nearest_features(queries, view)
    assert [one.feature for one in found] == np.argsort(-np.abs(cosines), kind="stable")[
        : traits.NEAREST
    ].tolist()
    np.testing.assert_allclose(
        [one.cosine for one in found], cosines[[one.feature for one in found]], atol=1e-5
    )
    aligned = {one.method: one.cosine for one in traits.aligned_traits(queries, found[0].feature)}
    assert aligned["probe"] == pytest.approx(found[0].cosine, abs=1e-6)
    shown = str(section.layout(queries, found[0].feature, Address("", {})).content)
    assert "/traits?trait=mine%2Fpolite&method=probe" in shown


@pytest.mark.full
def test_tokens_and_features_are_those_of_the_model(queries: Queries, view: View, files: TinyFiles) -> None:
    network = TextModel.load(str(files.model), device="cpu").language_model.model
    positive, negative = traits.responses_of(view, traits.SHOWN)
    rows = [row for pair in zip(positive, negative, strict=True) for row in pair]
    for row, shown in zip(rows, traits.shown_responses(queries, view), strict=True):
        ids = torch.tensor([[*row["prompt_token_ids"], *row["token_ids"]]])
        states = network(input_ids=ids, output_hidden_states=True).hidden_states[2][
            0, len(row["prompt_token_ids"]) :
        ]
        np.testing.assert_allclose(
            shown.projections, states.detach().numpy() @ view.direction, rtol=1e-3, atol=1e-3
        )
    found, chosen = traits.feature_differences(queries, view)
    assert [abs(found.difference[f]) for f in chosen] == sorted(
        (abs(found.difference[f]) for f in chosen), reverse=True
    )
    np.testing.assert_allclose(found.difference, found.a - found.b)


def test_steering_with_nothing_changes_nothing_and_odd_input_is_refused(queries: Queries, view: View) -> None:
    form = {"text": "return the", "strength": "0", "length": "12", "temperature": "0.8", "seed": "3"}
    same = traits.steered(queries, view, form)
    assert same.plain == same.steered
    assert len(same.plain) == 12
    moved = traits.steered(queries, view, {**form, "strength": "20"})
    assert moved.plain == same.plain
    assert moved.steered != moved.plain
    for odd in ({"text": " "}, {"strength": "many"}, {"length": "0"}, {"seed": True}, {"temperature": None}):
        with pytest.raises(AddressError):
            traits.steered(queries, view, {**form, **odd})


def test_the_page_says_what_is_missing_and_what_to_do(files: TinyFiles, data: Path, tmp_path: Path) -> None:
    (tmp_path / "precomputed_mine").symlink_to(data / "precomputed_mine")
    bare = Queries(open_artifacts("mine", tmp_path, files.config))
    shown = str(page.layout(bare, Address("/traits", {})))
    assert "No trait vectors yet" in shown
    assert "traits:demo:io_errors" in shown
    assert "python -m precompute.extraction run" in shown
    assert "No trait of this model" in str(section.layout(bare, 1, Address("", {})).content)


def test_the_page_is_served_and_its_callbacks_refuse_what_is_forged(files: TinyFiles, data: Path) -> None:
    artifacts = open_artifacts("mine", data, files.config)
    app = create_app(DashboardSettings(model_type="mine", data_dir=data, config=files.config), artifacts)
    queries = app.server.config["QUERIES"]
    shown = str(page.layout(queries, Address("/traits", {"strength": "3"})))
    assert "Held-out AUC" in shown
    assert "traits:demo:io_errors" in shown
    for forged in (None, 3, {"trait": ["x"]}, {"trait": "../../etc"}):
        if isinstance(forged, dict):
            with pytest.raises(AddressError):
                page._view(queries, forged)
        else:
            assert page._view(queries, forged).trait.key == "mine/polite"
    queries.inference.close()


def test_the_digest_of_a_model_is_that_of_its_model_type(
    queries: Queries, files: TinyFiles, tmp_path: Path
) -> None:
    """What tells whether a trait is of the model that is shown."""
    view = traits.view_of(queries, {})
    assert view.trait.model_digest == model_digest(files.model, DigestCache(tmp_path / "digests.json"))
    assert traits.is_of_model(queries, view.trait)

"""The page of density weights says what artifacts and formulas say, and shows other settings at once."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from dash import Dash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dashboard.address import Address, AddressError
from dashboard.app import create_app
from dashboard.components import density_panels
from dashboard.pages import density as page
from dashboard.queries import Queries
from dashboard.questions import density
from dashboard.questions.density import DensityRun, Weighed
from dashboard.settings import DashboardSettings
from precompute.density.weights import WeightSettings, distinct_weights, row_weights
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts
from tests.dashboard.made_density import N_DISTINCT, make_density


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    found = make_artifacts(tmp_path_factory.mktemp("data") / "precomputed_test")
    make_density(found.subject.data_dir)
    return found


@pytest.fixture(scope="module")
def queries(artifacts: PlainArtifacts) -> Queries:
    return Queries(artifacts)


@pytest.fixture(scope="module")
def run(queries: Queries) -> DensityRun:
    return density.opened(queries, None)


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(DashboardSettings(model_type="test"), artifacts)


def test_without_a_choice_the_weights_are_those_on_disk(queries: Queries, run: DensityRun) -> None:
    settings = density.settings_of(run, {})
    found = density.weighed(queries, run, settings)
    np.testing.assert_array_equal(found.rows, np.asarray(run.result.weights))
    assert found.effective == pytest.approx(run.result.metadata["effective_sample_size"])
    assert density_panels.changed(found) == "These are the weights on disk."


@given(exponent=st.floats(-3, 3), cap=st.floats(1, 100), mix=st.floats(0, 1))
def test_other_settings_give_what_the_formula_gives(
    queries: Queries, run: DensityRun, exponent: float, cap: float, mix: float
) -> None:
    chosen = density.settings_of(run, {"exponent": str(exponent), "cap": cap, "mix": mix})
    assert chosen.exponent == pytest.approx(exponent)
    found = density.weighed(queries, run, chosen)
    expected = row_weights(distinct_weights(run.distances, chosen), run.groups)
    np.testing.assert_array_equal(found.rows, expected)
    assert found.histogram().counts.sum() == N_DISTINCT
    assert found.drawn().sum() == pytest.approx(1, abs=1e-5)
    top = (1 - mix) * min(cap, N_DISTINCT) / N_DISTINCT + mix / N_DISTINCT
    assert found.distinct.max() <= top * (1 + 1e-9)


@given(
    hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(1e-3, 1)),
    st.randoms(use_true_random=False),
)
def test_expected_distinct_texts_agree_with_drawing(distances: np.ndarray, random: Any) -> None:
    """Of n draws: the sum over texts of the chance to be drawn at least once, by repeated products."""
    groups = np.concatenate([np.arange(len(distances)), [random.randrange(len(distances)) for _ in range(3)]])
    run = DensityRun("made", (), None)  # type: ignore[arg-type]
    run.__dict__.update(distances=distances, groups=groups)
    distinct = distinct_weights(distances, WeightSettings())
    found = Weighed(run, WeightSettings(), distinct, row_weights(distinct, groups))
    slow = sum(1 - (1 - weight) ** len(groups) for weight in distinct)
    assert found.expected_distinct() == pytest.approx(slow)
    uniform = sum(1 - (1 - count / len(groups)) ** len(groups) for count in np.bincount(groups))
    assert density.uniform_distinct(run) == pytest.approx(uniform)


def test_tenths_go_from_dense_to_alone(queries: Queries, run: DensityRun) -> None:
    found = density.weighed(queries, run, WeightSettings(alpha=2, cap=100, mix=0))
    distances = run.distances[run.groups]
    order = sorted(range(len(distances)), key=lambda i: (distances[i], i))
    first = order[: -(-len(order) // 10)]
    assert found.drawn()[0] == pytest.approx(float(found.rows[first].sum()), rel=1e-5)
    assert found.drawn()[-1] > found.drawn()[0]
    uniform = density.weighed(queries, run, WeightSettings(alpha=0, mix=1))
    assert np.ptp(uniform.shares) == pytest.approx(0, abs=1e-9)


def test_the_lists(queries: Queries, run: DensityRun) -> None:
    rarest, densest = density.extremes(run, True), density.extremes(run, False)
    assert run.distances[rarest].tolist() == sorted(run.distances, reverse=True)[: density.LISTED]
    assert run.distances[densest].tolist() == sorted(run.distances)[: density.LISTED]
    assert density.duplicated(run)[0] == 0
    assert run.copies[0] == 3
    assert all(text % 3 == 0 for text in density.duplicated(run))
    shown = json.dumps(page.layout(queries, Address("/density", {})).to_plotly_json(), default=str)
    assert run.prompts[int(run.firsts[rarest[0]])].replace('"', '\\"') in shown
    assert f"{len(run.groups):,}" in shown


@pytest.mark.parametrize(
    "chosen",
    [
        {"exponent": "x"},
        {"exponent": 9},
        {"cap": 0.5},
        {"mix": 2},
        {"mix": "nan"},
        {"cap": []},
        {"mix": True},
    ],
)
def test_odd_settings_are_refused(run: DensityRun, chosen: dict[str, object]) -> None:
    with pytest.raises(AddressError, match="expected"):
        density.settings_of(run, chosen)


@pytest.mark.parametrize("source", ["nope", "../base", 4, []])
def test_odd_sources_are_refused(queries: Queries, source: object) -> None:
    with pytest.raises(AddressError, match="expected"):
        density.opened(queries, source)


def test_the_weights_are_exported_as_they_are_shown(app: Dash, queries: Queries, run: DensityRun) -> None:
    client = app.server.test_client()
    table = pl.read_parquet(io.BytesIO(client.get("/density.parquet?exponent=-1&mix=0.3").data))
    found = density.weighed(queries, run, density.settings_of(run, {"exponent": -1, "mix": 0.3}))
    np.testing.assert_array_equal(table["weight"].to_numpy(), found.rows)
    assert table["prompt"].to_list() == run.prompts
    assert client.get("/density.csv").data.count(b"\n") == len(run.prompts) + 1
    assert client.get("/density.csv?mix=7").status_code == 400


def test_without_weights_the_page_says_how_they_are_computed(tmp_path: Path) -> None:
    bare = Queries(make_artifacts(tmp_path / "precomputed_test"))
    shown = str(page.layout(bare, Address("/density", {})))
    assert "python -m precompute.density pairs" in shown

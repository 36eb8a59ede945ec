"""The page of sweeps says what the results say, for every choice of its address."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import address
from dashboard.address import AddressError
from dashboard.components.sweep_panels import starting
from dashboard.jobs import Jobs
from dashboard.pages.sweeps import PAGE
from dashboard.queries import Queries
from dashboard.questions import sweeps
from dashboard.settings import DashboardSettings
from dashboard.sweep_figure import figure_of
from precompute.sweeps.results import open_sweep
from tests.dashboard.made_artifacts import PlainArtifacts, make_artifacts
from tests.dashboard.made_sweeps import K_VALUES, N_ROWS, N_SAMPLES, make_sweep


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    return make_artifacts(tmp_path_factory.mktemp("data") / "precomputed_test")


@pytest.fixture(scope="module")
def empty_queries(tmp_path_factory: pytest.TempPathFactory) -> Queries:
    return Queries(make_artifacts(tmp_path_factory.mktemp("none") / "precomputed_test"))


@pytest.fixture(scope="module")
def queries(artifacts: PlainArtifacts) -> Queries:
    make_sweep(artifacts.subject.data_dir, "cold", 0.5)
    make_sweep(artifacts.subject.data_dir, "hot", 1.0, intervals=False)
    return Queries(artifacts)


def shown(queries: Queries, search: str = "") -> str:
    """All that the page holds at an address, as it is sent."""
    content = PAGE.show(queries, address.parse("/sweeps", search)).content
    return json.dumps(content, cls=PlotlyJSONEncoder)


def test_curves_and_intervals_are_those_of_the_results(queries: Queries) -> None:
    runs = sweeps.chosen(queries, None)
    assert [run.name for run in runs] == ["cold", "hot"]
    band, cold, hot = figure_of(runs, "r_squared")["data"]
    entries = open_sweep(sweeps.directory(queries) / "cold.json").record["results"]
    assert cold["x"] == hot["x"] == K_VALUES
    assert cold["y"] == [entry["r_squared"]["estimate"] for entry in entries]
    assert band["y"][: len(K_VALUES)] == [entry["r_squared"]["bca"][1] for entry in entries]
    assert [trace["name"] for trace in (cold, hot)] == ["cold", "hot"]
    layout = figure_of(runs, "mse")["layout"]
    assert (layout["xaxis"]["type"], layout["xaxis"]["tickvals"]) == ("log", K_VALUES)
    alone = figure_of(runs[:1], "mse")["data"]
    assert alone[-1]["y"] == [entry["first_k"]["mse"]["estimate"] for entry in entries]


@pytest.mark.parametrize("order", list(sweeps.ORDERS))
def test_rows_are_ordered_by_what_is_recovered(queries: Queries, order: str) -> None:
    found = sweeps.row_scores(queries, sweeps.opened(queries, "cold"))
    chosen = sweeps.ordered(found, order)
    assert len(set(chosen)) == sweeps.LISTED
    first, last = found.recovery[:, 0], found.recovery[:, -1]
    value = {"worst": last, "best": -last, "gain": first - last}[order]
    assert value[chosen].tolist() == np.sort(value)[: sweeps.LISTED].tolist()


def test_a_row_shows_every_explanation_the_best_first(queries: Queries) -> None:
    run = sweeps.opened(queries, "cold")
    (row,) = run.result.rows.slice(7, 1).collect().to_dicts()
    opened = sweeps.row_of(queries, run, "7", 0)
    assert sorted(one.number for one in opened.explanations) == list(range(N_SAMPLES))
    assert opened.explanations[0].number == row["best"]
    errors = [one.error for one in opened.explanations]
    assert errors == sorted(row["errors"])
    assert opened.explanations[0].recovery == pytest.approx(1 - min(row["errors"]) / row["distance"])
    text = shown(queries, "?runs=cold&row=7")
    assert "Row 7" in text
    assert text.count("best-sample") == 1


def test_choices_are_in_the_address(queries: Queries) -> None:
    text = shown(queries, "?runs=hot&score=mse&order=gain")
    assert "Mean squared error" in text
    assert "the first K alone" in text
    # A link adds the other sweep, and keeps the other choices.
    assert "/sweeps?runs=hot,cold&score=mse&order=gain" in text
    assert "/sweeps?runs=hot&score=r_squared&order=gain" in text


@pytest.mark.parametrize(
    "search",
    ["?runs=none", "?runs=", "?runs=cold,cold", "?score=x", "?order=x", f"?row={N_ROWS}", "?row=-1", "?row=x",
     "?run=..%2Fcold", "?what=1"],
)  # fmt: skip
def test_odd_addresses_are_told(queries: Queries, search: str) -> None:
    with pytest.raises(AddressError):
        shown(queries, search)


def test_without_a_sweep_it_says_how_to_make_one(empty_queries: Queries) -> None:
    text = shown(empty_queries)
    assert "No sweep in" in text
    assert "python -m precompute.sweeps.best_of_k" in text


def test_every_sweep_of_the_configuration_can_be_started(artifacts: PlainArtifacts) -> None:
    jobs = Jobs(DashboardSettings(model_type="test"), artifacts)
    presets = ("quick", "standard", "cool", "all")
    assert {f"sweep:demo:{name}" for name in presets} <= set(jobs.works)
    queries = Queries(artifacts)
    queries.jobs = jobs
    found = json.dumps(starting(queries), cls=PlotlyJSONEncoder)
    assert all(f"sweep:demo:{name}/*" in found for name in presets)

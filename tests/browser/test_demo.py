"""The embedded demo at full size: both built-in model types, from an empty data directory to the browser."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute import open_artifacts
from precompute.pipeline.registry import steps
from precompute.reading import Artifacts
from tests.browser.checks import check_everything
from tests.browser.checks_compare import check_all_of_comparing
from tests.browser.checks_feature import check_all_of_feature
from tests.browser.checks_labels import check_all_of_labels
from tests.browser.checks_map import check_all_of_map
from tests.browser.checks_on_demand import check_all_of_on_demand
from tests.browser.checks_prompt import check_all_of_prompts
from tests.browser.checks_table import check_all_of_the_table
from tests.browser.checks_tokens import check_all_of_tokens
from tests.browser.served import Visit
from tests.served_command import ROOT, started

pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(1200)]

CHECKS = (
    check_everything,
    check_all_of_the_table,
    check_all_of_feature,
    check_all_of_on_demand,
    check_all_of_comparing,
    check_all_of_tokens,
    check_all_of_map,
    check_all_of_prompts,
    check_all_of_labels,
)
"""Values on the pages equal those of the artifacts; labels, which are written, come last."""


def unified(name: str, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "precompute.unified", "--model-type", name, "--data-dir", str(data)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module", params=["full", "ultra"])
def artifacts(request: pytest.FixtureRequest, data: Path) -> Artifacts:
    done = unified(request.param, data)
    assert done.returncode == 0, done.stderr
    assert f"{len(steps())} steps computed" in done.stderr
    return open_artifacts(request.param, data)


def test_everything_is_fresh_and_running_again_does_nothing(artifacts: Artifacts, data: Path) -> None:
    name = artifacts.model_type.name
    before = {path: path.stat().st_mtime_ns for path in artifacts.directory.rglob("*") if path.is_file()}
    record = json.loads(unified(name, data, "--status", "--json").stdout)
    assert {step["state"] for step in record["steps"]} == {"fresh"}
    assert f"0 steps computed, {len(steps())} already fresh" in unified(name, data).stderr
    after = {path: path.stat().st_mtime_ns for path in artifacts.directory.rglob("*") if path.is_file()}
    assert after == before
    assert unified(name, data, "--verify").returncode == 0


def test_counts_add_up(artifacts: Artifacts) -> None:
    rows = artifacts.row_store()
    stats = artifacts.table("feature_stats").sort("feature")
    histograms = artifacts.table("histograms").sort("feature")
    assert stats.height == rows.d_sae
    counted = histograms["counts"].list.sum() + histograms["n_zero"]
    assert counted.to_list() == [rows.n_rows] * rows.d_sae
    n_nonzero = sum(int(rows.values(shard, "indptr")[-1]) for shard in range(rows.n_shards))
    assert int(stats["n_nonzero"].sum()) == n_nonzero
    busiest = int(stats.sort("n_nonzero")["feature"][-1])
    read = artifacts.feature(busiest)
    assert len(read.rows) == stats["n_nonzero"][busiest]
    assert float(np.max(read.acts)) == stats["max"][busiest]


def test_the_sae_is_as_good_as_its_model_card_says(artifacts: Artifacts) -> None:
    """The aims of the demo, on the held-out texts of this machine."""
    quality = artifacts.record("sae_quality")
    assert quality["recovered"] >= 0.90
    most_dead = 0.10 if artifacts.model_type.name == "full" else 0.40
    share_silent = artifacts.table("feature_stats").filter(pl.col("n_nonzero") == 0).height
    assert share_silent / artifacts.row_store().d_sae <= most_dead


@pytest.fixture(scope="module")
def base(artifacts: Artifacts, data: Path) -> Iterator[str]:
    """Address of the server that the README's command starts."""
    command = ["./run_dashboard.sh", artifacts.model_type.name, "--data-dir", str(data), "--port", "0"]
    with started(command, cwd=ROOT) as address:
        yield address


def test_health(base: str, artifacts: Artifacts) -> None:
    with urllib.request.urlopen(base + "/healthz") as answer:
        health = json.load(answer)
    assert health["status"] == "ok"
    assert health["model_type"] == artifacts.model_type.name


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_page_in_the_browser(
    base: str, artifacts: Artifacts, browser: object, check: Callable[[Visit, Artifacts], None]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    visit = Visit(context.new_page(), base)
    check(visit, artifacts)
    context.close()
    assert visit.wrongs == []

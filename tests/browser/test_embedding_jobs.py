"""An embedding set from nothing to the colours of a feature, by the buttons of its page alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dashboard.server import Server
from dashboard.settings import DashboardSettings
from precompute.embeddings.readings import open_reading
from precompute.jobs.board import JobBoard
from precompute.jobs.processes import started_by
from precompute.reading import Artifacts
from tests.browser.checks_statements import DRAWN
from tests.browser.served import Visit, answering
from tests.browser.served_jobs import PATIENT, until
from tests.embeddings.tiny_embedder import make_embedder
from tests.tiny import TinyFiles, make_texts

pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(900)]

SET = "/embeddings?model=own&size="
ALONE = 40
"""Statements that the corpus does not hold."""


def control(ask: str) -> str:
    return f"output.compute[data-ask='{ask}']"


@pytest.fixture(scope="module")
def root(computed: TinyFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model type, an embedding model, and statements of which the corpus holds a part."""
    made = tmp_path_factory.mktemp("statements") / "mine"
    shutil.copytree(computed.root, made, symlinks=True, ignore=shutil.ignore_patterns(".jobs"))
    make_embedder(made / "embedder")
    own = [f"no corpus holds file {i} of a list" for i in range(ALONE)]
    filled = [f"statement {i} " + "of many words " * 4 for i in range(3000)]
    rows = [
        {"text": text, "kind": f"kind {i % 3}"} for i, text in enumerate([*make_texts(50), *own, *filled])
    ]
    (made / "statements.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (made / "my.toml").open("a") as config:
        config.write('\n[embedding_models.own]\nmodel = "embedder"\ndataset = "statements.jsonl"\n')
    return made


@pytest.fixture(scope="module")
def base(root: Path) -> Iterator[str]:
    files = TinyFiles(root)
    settings = DashboardSettings(
        model_type="mine", config=files.config, data_dir=root / "data", precompute=False
    )
    with answering(Server(settings)) as address:
        yield address


def check_a_text_is_nearest_to_itself_in_meaning(visit: Visit) -> None:
    """By the set's own model, in its own process."""
    page = visit.page
    visit.open(f"{SET}toy")
    page.wait_for_function(DRAWN)
    page.fill("#emb-meaning", f"no corpus holds file {ALONE - 1} of a list")
    page.keyboard.press("Enter")
    cells = "#emb-grid .ag-row[row-index='0'] [col-id='{}']"
    page.wait_for_function(
        "([row, cosine]) => document.querySelector(row)?.innerText === '89'"
        " && document.querySelector(cosine)?.innerText === '1.00'",
        arg=[cells.format("row") + " a", cells.format("cosine")],
    )
    assert "meaning=" in page.url


def test_from_nothing_to_the_colours_of_a_feature(visit: Visit, root: Path) -> None:
    page = visit.page
    page.set_default_timeout(PATIENT)
    visit.open(f"{SET}toy")
    page.locator(f"{control('embeddings:own:toy/*')} .compute-go").click()
    page.wait_for_function(DRAWN)
    assert visit.text("#emb-summary") == "100 statements"
    read = page.locator(control("readings:mine:own:toy/*"))
    read.locator(".compute-cost", has_text="about").wait_for()
    read.locator(".compute-go").click()
    read.wait_for(state="detached")
    artifacts = Artifacts(open_reading("mine", "own:toy", root / "data", root / "my.toml"))
    feature = int(np.bincount(np.load(artifacts.path("example_features") / "features.npy")).argmax())
    visit.open(f"{SET}toy&colour=feature&feature={feature}&sort=activation:desc")
    page.wait_for_function(DRAWN)
    n_written = artifacts.table("windows")["text_id"].n_unique()
    assert n_written > ALONE
    page.locator("#emb-summary", has_text="Activations of mine are known on ").wait_for()
    greatest = float(np.asarray(artifacts.feature(feature).acts).max())
    first = "#emb-grid .ag-row[row-index='0'] [col-id='activation']"
    page.wait_for_function("cell => document.querySelector(cell)?.innerText", arg=first)
    assert float(visit.text(first).replace(",", "")) == pytest.approx(greatest, rel=0.005)
    check_a_text_is_nearest_to_itself_in_meaning(visit)


def test_a_set_that_is_cancelled_goes_on_where_it_stopped(visit: Visit, root: Path) -> None:
    page, ask = visit.page, control("embeddings:own:small/*")
    page.set_default_timeout(PATIENT)
    board = JobBoard(root / "data")
    visit.open(f"{SET}small")
    page.locator(f"{ask} .compute-go").click()
    page.wait_for_selector(f"{ask} .compute-bar[value]")
    page.locator(f"{ask} .job-cancel:enabled").click()
    page.locator(f"{ask} .compute-stopped", has_text="It was cancelled").wait_for()
    (record,) = [r for r in board.records() if r.model_type == "embeddings:own:small"]
    assert record.state == "cancelled"
    until(lambda: not list(started_by(record.id)), 10)
    page.locator(f"{ask} .compute-go").click()
    page.wait_for_function(DRAWN)
    assert visit.text("#emb-summary") == f"{50 + ALONE + 3000:,} statements"

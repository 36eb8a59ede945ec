"""Embedding sets, density weights and traits as jobs: each once, and what it computed is what is there."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from precompute.density import open_density
from precompute.embeddings import open_embeddings
from precompute.errors import UsageError
from precompute.extraction.results import open_trait
from precompute.jobs.board import JobBoard
from precompute.jobs.costs import Cost
from precompute.jobs.kinds import KINDS, open_work, staged_names, steps_of
from precompute.jobs.launcher import Launcher
from precompute.jobs.orders import Order
from precompute.jobs.record import JobRecord
from precompute.pipeline.registry import steps
from tests.embeddings.tiny_embedder import make_dataset, make_embedder
from tests.extraction.made_trait import TRAIT
from tests.tiny import make_language_model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with a tiny embedder, and prompts."""
    found = tmp_path_factory.mktemp("works")
    make_embedder(found / "model")
    texts = make_dataset(found / "texts.jsonl", 40)
    (found / "my.toml").write_text(
        '[embedding_models.tiny]\nmodel = "model"\ndataset = "texts.jsonl"\n'
        '[density.sources]\nown = "model"\n[experiments.own]\nmodel = "lm"\n'
    )
    (found / "data").mkdir()
    make_language_model(found / "lm", texts)
    trait = found / "data" / "experiments" / "own" / "polite"
    trait.mkdir(parents=True)
    (trait / "trait_definition.json").write_text(json.dumps(TRAIT))
    prompts = "".join(json.dumps({"prompt": text}) + "\n" for text in texts if text.strip())
    (found / "data" / "prompts_all.jsonl").write_text(prompts)
    return found


def finished(launcher: Launcher, record: JobRecord, seconds: float = 120) -> JobRecord:
    limit = time.monotonic() + seconds
    while launcher.board.find(record.id).is_active:
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.1)
    return launcher.board.find(record.id)


@pytest.mark.full
@pytest.mark.parametrize("name", ["embeddings:tiny:toy", "density:own", "traits:own:polite"])
def test_a_job_computes_what_is_missing_once(root: Path, name: str) -> None:

    launcher = Launcher(JobBoard(root / "data"))
    config = root / "my.toml"
    work = open_work(name, root / "data", config)
    cost = work.cost(work.status(), steps_of(name))
    assert cost is not None
    assert (cost.steps, cost.seconds > 0, cost.n_bytes > 0) == (steps_of(name), True, True)
    order = Order(work, config=config, workers=1)
    first, second = launcher.submit(order), launcher.submit(order)
    assert first is not None
    assert second is not None
    assert (first.attached, second.attached) == (False, True)
    assert second.record.id == first.record.id
    assert first.record.steps == steps_of(name)
    found = finished(launcher, first.record)
    assert (found.state, found.error) == ("finished", None), found.log.read_text()
    assert tuple(done.step for done in found.done) == steps_of(name)
    assert all(done.n_bytes > 0 for done in found.done)
    assert [status.state for status in open_work(name, root / "data", config).status()] == ["fresh"] * len(
        steps_of(name)
    )
    assert launcher.submit(order) is None
    assert work.cost(work.status(), steps_of(name)) == Cost((), 0.0, 0)
    launcher.close()
    if name.startswith("density"):
        assert np.asarray(open_density(root / "data" / "density" / "own").weights).sum() == pytest.approx(1)
    elif name.startswith("traits"):
        assert open_trait(root / "data" / "experiments" / "own" / "polite").responses.height == 200
    else:
        made = open_embeddings(root / "model", "toy", root / "data")
        assert made.table("map").height == len(made) == 40


def test_names_of_works(root: Path) -> None:
    names = staged_names(root / "my.toml")
    assert "embeddings:tiny:small" in names
    assert "density:own" in names
    assert {name.split(":")[0] for name in names} == set(KINDS)
    assert steps_of("ultra") == tuple(steps())
    with pytest.raises(UsageError, match="work"):
        open_work("embeddings:nope:toy", root / "data", root / "my.toml")
    work = open_work("embeddings:tiny:toy", root / "data", root / "my.toml")
    assert work.selection(["neighbors"]) == ("embeddings", "neighbors")
    with pytest.raises(UsageError, match="unknown step"):
        work.selection(["idf"])

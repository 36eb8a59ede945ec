"""A model type on the texts of an embedding set: what its corpus says of a text, the reading says, too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute.command_line import run_command
from precompute.config import load_config
from precompute.embeddings.commands import compute as embed
from precompute.embeddings.readings import STEPS, open_reading
from precompute.errors import ConfigError, UsageError
from precompute.jobs.kinds import open_work, steps_of
from precompute.jobs.works import ModelTypeWork
from precompute.pipeline.plan import Plan
from precompute.pipeline.subjects import Subject, open_subject
from precompute.reading import Artifacts
from precompute.unified import main
from tests.embeddings.tiny_embedder import make_embedder
from tests.tiny import TinyFiles, make_texts

NAME = "readings:mine:own:toy"


@pytest.fixture(scope="module")
def files(computed: TinyFiles, tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """The tiny model type, and a set of texts that its corpus holds only half of."""
    root = tmp_path_factory.mktemp("readings") / "mine"
    shutil.copytree(computed.root, root, symlinks=True, ignore=shutil.ignore_patterns(".jobs"))
    make_embedder(root / "embedder")
    texts = [*make_texts(40), "", *(f"no corpus holds file {i} of a list" for i in range(40))]
    (root / "statements.jsonl").write_text(
        "".join(json.dumps({"text": t, "n_tokens": 3}) + "\n" for t in texts)
    )
    config = root / "my.toml"
    embedder = '\n[embedding_models.own]\nmodel = "embedder"\ndataset = "statements.jsonl"\n'
    config.write_text(config.read_text() + embedder)
    assert embed(["--model-dir", str(root / "embedder"), "--dataset", str(root / "statements.jsonl"),
                  "--data-dir", str(root / "data")]) == 0  # fmt: skip
    assert run(TinyFiles(root), "--texts", "own:toy") == 0
    return TinyFiles(root)


def run(files: TinyFiles, *arguments: str) -> int:
    base = ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(files.root / "data")]
    return run_command(main, [*base, *arguments])


@pytest.fixture(scope="module")
def reading(files: TinyFiles) -> Subject:
    return open_reading("mine", "own:toy", files.root / "data", files.config)


def maxima(artifacts: Artifacts) -> dict[str, dict[int, float]]:
    """The greatest activation of each feature on each text, by the text's id, in the plainest way."""
    windows = artifacts.table("windows")["text_id"].to_list()
    place = artifacts.path("example_features")
    indptr, features, acts = (np.load(place / f"{n}.npy") for n in ("indptr", "features", "max_acts"))
    found: dict[str, dict[int, float]] = {}
    for example, text in enumerate(windows):
        known = found.setdefault(text, {})
        for i in range(indptr[example], indptr[example + 1]):
            known[int(features[i])] = max(known.get(int(features[i]), 0.0), float(acts[i]))
    return found


def test_every_text_is_read_as_the_corpus_reads_it(files: TinyFiles, reading: Subject) -> None:
    own = maxima(Artifacts(open_subject("mine", files.root / "data", files.config)))
    read = maxima(Artifacts(reading))
    texts = pl.read_parquet(reading.model_type.corpus.path or "")
    written = texts.filter(pl.col("text") != "")["text_id"]
    assert set(read) == set(written)
    both = set(own) & set(read)
    assert 10 < len(both) < len(read)
    for text in both:
        assert own[text].keys() == read[text].keys()
        np.testing.assert_allclose([read[text][f] for f in own[text]], list(own[text].values()), rtol=1e-4)


def test_the_usual_steps_are_computed_and_the_model_type_is_left_alone(
    files: TinyFiles, reading: Subject
) -> None:
    states = {status.step: status.state for status in Plan(reading).statuses()}
    assert [step for step, state in states.items() if state == "fresh"] == list(STEPS)
    own = open_subject("mine", files.root / "data", files.config)
    assert {status.state for status in Plan(own).statuses()} <= {"fresh", "not applicable"}
    assert reading.directory.name == "precomputed_readings@mine@own@toy"
    assert run(files, "--texts", "own:toy", "--verify") == 0


def test_a_job_of_that_name_is_the_same_work(files: TinyFiles, reading: Subject) -> None:
    work = open_work(NAME, files.root / "data", files.config)
    assert isinstance(work, ModelTypeWork)
    assert (work.name, work.directory, work.subject) == (NAME, reading.directory, reading)
    assert steps_of(NAME) == work.selection(()) == STEPS
    assert work.planned(work.selection(())) == {"steps": (), "fingerprints": {}}


def test_other_texts_make_a_reading_stale(files: TinyFiles, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    shutil.copytree(files.root, root, symlinks=True)
    path = root / "statements.jsonl"
    path.write_text(path.read_text() + json.dumps({"text": "one statement more"}) + "\n")
    there = open_reading("mine", "own:toy", root / "data", root / "my.toml")
    assert Plan(there).status("activations").state == "fresh"
    assert embed(["--model-dir", str(root / "embedder"), "--dataset", str(path),
                  "--data-dir", str(root / "data")]) == 0  # fmt: skip
    again = open_reading("mine", "own:toy", root / "data", root / "my.toml")
    assert {Plan(again).status(step).state for step in STEPS} == {"stale"}


@pytest.mark.parametrize("texts", ["", "own", "own:huge", "other:toy", "own:toy:x", "../own:toy"])
def test_sets_that_there_are_not(files: TinyFiles, texts: str) -> None:
    with pytest.raises(UsageError, match="embedding set"):
        open_reading("mine", texts, files.root / "data", files.config)


def test_what_cannot_be_read_ends_with_a_sentence(
    files: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError):
        open_reading("nope", "own:toy", files.root / "data", files.config)
    for arguments, code in ((["own:small"], 1), (["own:none"], 2), (["own:toy", "--test"], 2)):
        assert run(files, "--texts", *arguments) == code
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) == 1, said
    assert "own" in load_config(files.config).embedding_models

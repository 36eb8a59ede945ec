"""Model types of imported stores: artifacts equal what NumPy makes of the dense matrix, and laws hold."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dashboard.obstacles import obstacle
from precompute import open_model
from precompute.embeddings.named import NamedSets, SetName
from precompute.embeddings.readings import reading_of
from precompute.errors import NotApplicableError, UsageError
from precompute.export.__main__ import main as export
from precompute.export.static_page import Reader
from precompute.jobs.kinds import staged_names
from precompute.pipeline.origin import origin_of
from precompute.reading import open_artifacts
from tests.stores.foreign_stores import D_SAE, token_lists
from tests.stores.imported_types import N_ROWS, NAMES, ImportedFiles, make_imported
from tests.tiny import TinyFiles, make_sae

WITHOUT_MODEL = {"influences", "token_influences", "logit_stats", "sae_quality"}
WITHOUT_POSITIONS = {"token_contexts", "token_features"}
WITHOUT_SAE = {"directions", "neighbors", "feature_map"}
WITHOUT_TOKENS = {"idf", "tfidf"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImportedFiles:
    made = make_imported(tmp_path_factory.mktemp("imported"))
    assert [made.run(name) for name in ("splat", "bare")] == [0, 0]
    return made


@pytest.fixture
def own(files: ImportedFiles, tmp_path: Path) -> ImportedFiles:
    """A copy that may be changed."""
    shutil.copytree(files.root, tmp_path / "own", symlinks=True)
    return ImportedFiles(tmp_path / "own", files.acts)


def test_what_applies_is_computed_and_what_does_not_says_why(files):
    left_out = {
        "splat": WITHOUT_MODEL | WITHOUT_POSITIONS,
        "bare": WITHOUT_MODEL | WITHOUT_POSITIONS | WITHOUT_SAE | WITHOUT_TOKENS,
    }
    for name, expected in left_out.items():
        states = files.states(name)
        assert {step for step, state in states.items() if state == "not applicable"} == expected
        assert {state for step, state in states.items() if step not in expected} == {"fresh"}
        reasons = {status.step: status.reason for status in files.artifacts(name).status()}
        assert all("\n" not in reasons[step] and reasons[step] for step in expected)
        assert files.run(name, "--verify") == 0
    reasons = {status.step: status.reason for status in files.artifacts("bare").status()}
    assert "names no `sae`" in reasons["neighbors"]
    assert "without a model" in {s.step: s.reason for s in files.artifacts("splat").status()}["influences"]
    with pytest.raises(NotApplicableError, match="imported"):
        files.artifacts("splat").record("sae_quality")


@pytest.mark.parametrize("name", ["splat", "bare"])
def test_statistics_equal_numpy(files, name):
    acts = files.acts.astype(np.float64)
    table = files.artifacts(name).table("feature_stats")
    assert table["n_nonzero"].to_list() == (acts != 0).sum(axis=0).tolist()
    assert table["n_examples"].to_list() == (acts != 0).sum(axis=0).tolist()
    np.testing.assert_allclose(table["mean"], acts.mean(axis=0))
    np.testing.assert_allclose(table["std"], acts.std(axis=0))
    np.testing.assert_allclose(table["max"], acts.max(axis=0))
    medians = [np.median(column[column != 0]) if column.any() else None for column in acts.T]
    assert table["median"].to_list() == pytest.approx(medians)
    histograms = files.artifacts(name).table("histograms")
    for column, counts, edges in zip(acts.T, histograms["counts"], histograms["bin_edges"], strict=True):
        if column.any():
            expected, _ = np.histogram(column[column != 0], bins=edges.to_numpy())
            assert counts.to_list() == expected.tolist()
    assert histograms["n_zero"].to_list() == (acts == 0).sum(axis=0).tolist()


def test_directions_are_those_of_the_sae_where_one_is_named(files):
    directions = files.artifacts("splat").array("directions")
    assert directions.shape == (D_SAE, 5)
    norms = np.linalg.norm(directions.astype(np.float64), axis=1)
    np.testing.assert_allclose(files.artifacts("splat").table("feature_stats")["decoder_norm"], norms)
    assert files.artifacts("bare").table("feature_stats")["decoder_norm"].null_count() == D_SAE
    unit = directions / norms[:, None]
    cosines = unit @ unit.T - 2 * np.eye(D_SAE)
    first = files.artifacts("splat").table("neighbors").filter(rank=0)
    assert first["neighbor"].to_list() == cosines.argmax(axis=1).tolist()
    assert files.artifacts("splat").table("feature_map").height == D_SAE


@pytest.mark.parametrize("name", ["splat", "bare"])
def test_strongest_examples_equal_numpy(files, name):
    """One example a set of tokens; where no token is known, every example is of its own."""
    lists = token_lists(N_ROWS)
    known = name == "splat"
    texts = [tuple(sorted(lists[row])) if known and lists[row] else row for row in range(N_ROWS)]
    top = files.artifacts(name).table("examples").filter(band="top")
    for feature in range(D_SAE):
        column = files.acts[:, feature]
        best: dict[object, int] = {}
        for row in np.lexsort((np.arange(N_ROWS), -column)).tolist():
            if column[row]:
                best.setdefault(texts[row], row)
        found = top.filter(feature=feature).sort("rank")
        assert found["row"].to_list() == list(best.values())[: found.height]
        assert found.height == min(len(best), 20)
        np.testing.assert_array_equal(found["activation"], column[found["row"].to_numpy()])
        assert set(found["position"]) <= {-1}


def test_near_misses_are_told_only_where_something_resembles(files):
    misses = {n: files.artifacts(n).table("examples").filter(band="miss") for n in ("splat", "bare")}
    assert misses["splat"].height > 0
    assert (files.acts[misses["splat"]["example"], misses["splat"]["feature"]] == 0).all()
    assert misses["bare"].height == 0


def test_coactivations_and_example_features_equal_numpy(files):
    artifacts, fires = files.artifacts("splat"), files.acts != 0
    both = fires.astype(int).T @ fires.astype(int)
    for feature, other, n_both in artifacts.table("coactivations")["feature", "other", "n_both"].rows():
        assert both[feature, other] == n_both
    directory = artifacts.path("example_features")
    indptr, features, acts = (np.load(directory / f"{n}.npy") for n in ("indptr", "features", "max_acts"))
    found = np.zeros_like(files.acts)
    found[np.repeat(np.arange(N_ROWS), np.diff(indptr)), features] = acts
    np.testing.assert_array_equal(found, files.acts)


def test_token_tables_equal_counting(files):
    artifacts, lists = files.artifacts("splat"), token_lists(N_ROWS)
    assert artifacts.table("vocabulary")["token"].to_list() == NAMES
    df = Counter(token for tokens in lists for token in set(tokens))
    idf = artifacts.table("idf")
    assert idf["document_frequency"].to_list() == [df[token] for token in range(len(NAMES))]
    feature = int((files.acts != 0).sum(axis=0).argmax())
    counts = Counter(token for row in np.flatnonzero(files.acts[:, feature]) for token in lists[row])
    share = {token: count / counts.total() * idf["idf"][token] for token, count in counts.items()}
    found = artifacts.table("tfidf").filter(feature=feature).sort("rank")
    best = sorted(share, key=lambda token: -share[token])[: found.height]
    assert found["tfidf"].to_list() == pytest.approx([share[token] for token in best])


def test_the_corpus_is_the_examples_with_their_metadata(files):
    corpus, windows = (files.artifacts("splat").table(name) for name in ("corpus", "windows"))
    assert windows["token_ids"].to_list() == token_lists(N_ROWS)
    ours = ["text_index", "text_id", "text", "n_tokens", "duplicate_of"]
    assert corpus.columns == [*ours, "batch_id", "weapon_name"]
    assert corpus["weapon_name"].to_list() == [f"weapon {i % 7}" for i in range(N_ROWS)]
    lists = token_lists(N_ROWS)
    assert corpus["text"].to_list() == [" ".join(NAMES[token] for token in tokens) for tokens in lists]
    first: dict[object, int] = {}
    same = [first.setdefault(tuple(sorted(t)) if t else row, row) for row, t in enumerate(lists)]
    assert corpus["duplicate_of"].to_list() == same
    row = next(row for row, tokens in enumerate(lists) if len(tokens) > 1 and files.acts[row, 0])
    example = files.artifacts("splat").example(row, feature=0)
    assert example.metadata == {"batch_id": int(row >= N_ROWS // 2), "weapon_name": f"weapon {row % 7}"}
    assert set(example.acts.tolist()) == {float(files.acts[row, 0])}
    assert example.str_tokens == tuple(NAMES[token] for token in lists[row])
    bare = files.artifacts("bare")
    assert bare.table("vocabulary").height == 0
    assert bare.table("corpus")["text_id"].n_unique() == N_ROWS


def test_the_types_share_no_labels_unless_they_share_the_sae(files):
    splat, bare = files.artifacts("splat"), files.artifacts("bare")
    assert splat.sae_digest() == origin_of(splat.model_type).sources(files.root / "data").sae_digest
    assert bare.sae_digest() == origin_of(bare.model_type).sources(files.root / "data").sae_digest
    assert splat.sae_digest() != bare.sae_digest()


def test_some_features_alone(files):
    assert files.run("bare", "--features", "4:7", "--only", "feature_stats,coactivations") == 0
    part = open_artifacts("bare", files.root / "data", files.config, features=(4, 7))
    whole = files.artifacts("bare").table("feature_stats")
    assert part.table("feature_stats").equals(whole.slice(4, 3))
    store = part.row_store()
    assert store.info.n_nonzero == (files.acts[:, 4:7] != 0).sum()
    for row in range(0, N_ROWS, 37):
        features, acts = store.row(row)
        assert features.tolist() == [f for f in range(4, 7) if files.acts[row, f]]
        np.testing.assert_array_equal(acts, files.acts[row, features])


def rewrite_store(files: ImportedFiles) -> None:
    path = next((files.root / "batches").rglob("acts.npy"))
    acts = np.load(path)
    acts[0] += 1
    np.save(path, acts)


def another_sae(files: ImportedFiles) -> None:
    make_sae(files.root / "sae", 5, D_SAE, seed=9)


def other_names(files: ImportedFiles) -> None:
    path = files.root / "vocab.json"
    path.write_text(path.read_text().replace("ability_7", "power_7"))


BEFORE_DIRECTIONS = {"corpus", "activations", "transpose", "histograms", "examples", "coactivations"}
CHANGES: dict[Callable[[ImportedFiles], None], tuple[set[str], str, str]] = {
    rewrite_store: (set(), "corpus", "the store's content changed"),
    another_sae: (BEFORE_DIRECTIONS, "directions", "the sae's content changed"),
    other_names: (set(), "corpus", "the tokenizer's content changed"),
}
"""What stays as it is, and which step says why it does not."""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_input_makes_its_dependants_stale(own, change):
    change(own)
    kept, step, reason = CHANGES[change]
    states = own.states("splat")
    assert "stale" not in {states[name] for name in kept}
    assert states[step] == "stale"
    assert {s.step: s.reason for s in own.artifacts("splat").status()}[step] == reason
    assert kept or set(states.values()) == {"stale"}
    assert set(own.states("bare").values()) == {"fresh", "not applicable"}
    assert own.run("splat") == 0
    assert set(own.states("splat").values()) == {"fresh", "not applicable"}


def test_damage_is_found_and_repaired(own, capsys):
    path = own.artifacts("bare").path("feature_stats.parquet").resolve()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert own.run("bare", "--verify") == 1
    assert "feature_stats" in capsys.readouterr().out
    assert own.run("bare") == 0
    assert own.run("bare", "--verify") == 0


def test_the_artifacts_stay_when_the_store_is_gone(own):
    before = own.artifacts("bare").table("feature_stats")
    shutil.rmtree(own.root / "folders")
    artifacts = own.artifacts("bare")
    assert artifacts.table("feature_stats").equals(before)
    assert artifacts.row_store().n_rows == N_ROWS
    assert artifacts.sae_digest()


def test_a_store_of_tokens_gives_what_its_model_type_gives(computed: TinyFiles, tmp_path: Path):
    """The activations of a model type, imported: rows are positions, so every table of tokens applies."""
    places = {
        "store": computed.root / "data/precomputed_mine/activations",
        "sae": computed.sae,
        "tokenizer": computed.model,
    }
    lines = [f"{key} = {json.dumps(str(place))}" for key, place in places.items()]
    own = ImportedFiles(tmp_path, np.zeros(0))
    own.config.write_text("\n".join(["[model_types.mine]", *lines]) + "\n")
    assert own.run("mine") == 0
    states = own.states("mine")
    assert {step for step, state in states.items() if state == "not applicable"} == WITHOUT_MODEL
    there, here = open_artifacts("mine", computed.root / "data", computed.config), own.artifacts("mine")
    for name in ("feature_stats", "histograms", "neighbors", "tfidf", "token_contexts", "token_features"):
        assert here.table(name).equals(there.table(name)), name
    assert here.table("windows")["n_special"].to_list() == there.table("windows")["n_special"].to_list()
    assert here.table("windows")["token_ids"].equals(there.table("windows")["token_ids"])


def edit(old: str, new: str) -> Callable[[ImportedFiles], None]:
    def change(files: ImportedFiles) -> None:
        files.config.write_text(files.config.read_text().replace(old, new, 1))

    return change


def column_store(files: ImportedFiles) -> None:
    shutil.rmtree(files.root / "batches")
    shutil.copytree(files.artifacts("splat").path("feature_major").resolve(), files.root / "batches")


def lost_part(files: ImportedFiles) -> None:
    shutil.rmtree(files.root / "batches/parts/00001")


def wide_sae(files: ImportedFiles) -> None:
    make_sae(files.root / "sae", 5, D_SAE + 1)


def few_names(files: ImportedFiles) -> None:
    (files.root / "vocab.json").write_text(json.dumps(["a", "b"]))


def negative_token(files: ImportedFiles) -> None:
    path = files.root / "batches/parts/00001/token_ids.npy"
    tokens = np.load(path)
    tokens[0] = -7
    np.save(path, tokens)


def odd_names(files: ImportedFiles) -> None:
    (files.root / "vocab.json").write_text('{"a": "b"}')


def fewer_metadata(files: ImportedFiles) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(files.root / "batches/examples.parquet")


STORE = 'store = "batches"'
BAD: dict[str, tuple[Callable[[ImportedFiles], None], str]] = {
    "no store": (edit("batches", "nothing"), "no store.json in"),
    "another order": (column_store, "a store in features order"),
    "a lost part": (lost_part, "without part 00001"),
    "a model, too": (edit(STORE, f'{STORE}\nmodel = "lm"'), "with `store` and `model`"),
    "a corpus, too": (
        edit("[model_types.bare]", "[model_types.splat.corpus]\nbuiltin = true\n[model_types.bare]"),
        "with `store` and `corpus`",
    ),
    "a misspelt key": (edit("tokenizer", "tokeniser"), "did you mean 'tokenizer'"),
    "a tokenizer without a store": (edit(STORE, 'model = "lm"'), "unknown key 'tokenizer'"),
    "no tokenizer": (edit("vocab.json", "nothing"), "no tokenizer at"),
    "a directory without a tokenizer": (edit("vocab.json", "sae"), "no tokenizer at"),
    "too few names": (few_names, "the token id 39"),
    "a token below 0": (negative_token, "the token id -7"),
    "odd names": (odd_names, "of another form"),
    "no sae": (edit('"sae"', '"./nothing"'), "nothing"),
    "another sae": (wide_sae, f"d_sae = {D_SAE + 1}"),
    "metadata of another store": (fewer_metadata, "of 2 rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_line(own, capsys, case):
    change, word = BAD[case]
    change(own)
    assert own.run("splat") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lightwell: ")]
    assert len(lines) == 1
    assert word in lines[0]
    assert "expected" in lines[0]


def test_pages_name_what_is_wrong_with_the_files(own):
    there = own.artifacts("splat").model_type
    assert obstacle(there) == ""
    (own.root / "vocab.json").unlink()
    assert "no tokenizer at" in obstacle(there)
    shutil.rmtree(own.root / "batches")
    assert "no store.json in" in obstacle(there)


def test_tokens_of_a_set_stand_apart_in_an_exported_page(files, tmp_path):
    choice = ["--model-type", "splat", "--config", str(files.config), "--data-dir", str(files.root / "data")]
    assert export(["page", *choice, "--to", str(tmp_path / "splat.html")]) == 0
    assert Reader(files.artifacts("splat"), 3).about["between_tokens"] == " "


def test_nothing_that_needs_a_model_is_offered(files):
    with pytest.raises(NotApplicableError, match="no model"):
        open_model("splat", files.config)
    assert not [name for name in staged_names(files.config) if name.startswith("readings:splat")]
    sets = NamedSets(files.root / "data", files.config)
    with pytest.raises(UsageError, match="the model type splat"):
        reading_of(files.artifacts("splat").subject, sets, SetName("demo", "toy"))

"""Neuronpedia's batches: its published fields, and the values of the artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from precompute.export.__main__ import main
from precompute.export.neuronpedia import Target, export
from precompute.reading import Artifacts, open_artifacts
from precompute.settings import Settings
from tests.tiny import TinyFiles

BATCH = {"model_id": str, "layer": int, "sae_set": str, "sae_id_suffix": (str, type(None)), "features": list}
WHOLE, REAL, TEXT = "int", "float", "str"
FEATURE = {
    "feature_index": WHOLE,
    "neuron_alignment_indices": [WHOLE],
    "neuron_alignment_values": [REAL],
    "neuron_alignment_l1": [REAL],
    "correlated_neurons_indices": [WHOLE],
    "correlated_neurons_l1": [REAL],
    "correlated_neurons_pearson": [REAL],
    "correlated_features_indices": [WHOLE],
    "correlated_features_l1": [REAL],
    "correlated_features_pearson": [REAL],
    "neg_str": [TEXT],
    "neg_values": [REAL],
    "pos_str": [TEXT],
    "pos_values": [REAL],
    "frac_nonzero": REAL,
    "freq_hist_data_bar_values": [REAL],
    "freq_hist_data_bar_heights": [REAL],
    "logits_hist_data_bar_heights": [REAL],
    "logits_hist_data_bar_values": [REAL],
    "n_prompts_total": WHOLE,
    "n_tokens_in_prompt": WHOLE,
    "dataset": TEXT,
    "decoder_weights_dist": [REAL],
    "activations": list,
    "vector": [REAL],
}
ACTIVATION = {
    "bin_min": REAL,
    "bin_max": REAL,
    "bin_contains": REAL,
    "tokens": [TEXT],
    "values": [REAL],
    "qualifying_token_index": WHOLE,
}
"""Fields of SAEDashboard 0.8's NeuronpediaDashboardBatch, …Feature and …Activation, and their types."""


def fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(each, kind[0]) for each in value)
    types = {WHOLE: int, REAL: (int, float), TEXT: str}
    return isinstance(value, types.get(kind, kind)) and not isinstance(value, bool)


@pytest.fixture(name="artifacts", scope="module")
def artifacts_fixture(computed: TinyFiles) -> Artifacts:
    return open_artifacts("mine", computed.root / "data", computed.config)


@pytest.fixture(name="batches", scope="module")
def batches_fixture(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("np") / "out"
    target = Target("tiny-llama", 1, "res-own", dataset="owner/texts")
    assert export(artifacts, target, directory, 20) > 0
    return directory


def features_of(batches: Path) -> list[dict[str, Any]]:
    return [feature for path in files_of(batches) for feature in json.loads(path.read_text())["features"]]


def files_of(batches: Path) -> list[Path]:
    return sorted(batches.glob("batch-*.json"), key=lambda path: int(path.stem.split("-")[1]))


def test_every_field_is_there_and_of_its_type(batches: Path) -> None:
    for path in files_of(batches):
        batch = json.loads(path.read_text())
        assert {name: type(value) for name, value in batch.items()}.keys() == BATCH.keys()
        assert all(isinstance(batch[name], kind) for name, kind in BATCH.items())
        assert 1 <= len(batch["features"]) <= 20
    for feature in features_of(batches):
        assert feature.keys() == FEATURE.keys()
        assert [name for name, kind in FEATURE.items() if not fits(feature[name], kind)] == []
        for activation in feature["activations"]:
            assert activation.keys() == ACTIVATION.keys()
            assert [name for name, kind in ACTIVATION.items() if not fits(activation[name], kind)] == []


def test_every_feature_is_in_a_batch_or_skipped(artifacts: Artifacts, batches: Path) -> None:
    table = artifacts.table("feature_stats")
    alive = table.filter(pl.col("n_nonzero") > 0)["feature"].to_list()
    assert [feature["feature_index"] for feature in features_of(batches)] == alive
    skipped = json.loads((batches / "skipped_indexes.json").read_text())
    assert sorted([*alive, *skipped["skipped_indexes"]]) == table["feature"].to_list()
    assert (skipped["model_id"], skipped["layer"], skipped["sae_set"]) == ("tiny-llama", "1", "res-own")


def test_effects_and_histograms_are_those_of_the_tables(artifacts: Artifacts, batches: Path) -> None:
    influences, histograms = artifacts.table("influences"), artifacts.table("histograms")
    for feature in features_of(batches):
        number = feature["feature_index"]
        for name, direction in (("pos", "promotes"), ("neg", "suppresses")):
            best = influences.filter(feature=number, direction=direction).sort("rank").head(10)
            assert feature[f"{name}_str"] == best["token"].to_list()
            np.testing.assert_allclose(feature[f"{name}_values"], best["influence"], atol=6e-4)
        row = histograms.filter(feature=number).row(0, named=True)
        assert feature["freq_hist_data_bar_heights"] == row["counts"]
        edges = np.array(row["bin_edges"])
        np.testing.assert_allclose(
            feature["freq_hist_data_bar_values"], (edges[:-1] + edges[1:]) / 2, atol=6e-4
        )
        assert sum(row["counts"]) / artifacts.row_store().n_rows == pytest.approx(feature["frac_nonzero"])


def test_examples_hold_their_tokens_and_every_activation(artifacts: Artifacts, batches: Path) -> None:
    names, n_special = artifacts.table("vocabulary")["token"], artifacts.table("windows")["n_special"]
    seen = 0
    for feature in features_of(batches)[::7]:
        number = feature["feature_index"]
        rows = artifacts.table("examples").filter(feature=number, band="top").sort("rank")
        top = [each for each in feature["activations"] if each["bin_min"] == -1]
        assert len(top) == rows.height
        for row, activation in zip(rows.iter_rows(named=True), top, strict=True):
            example = artifacts.example(row["example"], number)
            first = n_special[row["example"]]
            assert activation["tokens"] == names[example.token_ids[first:].tolist()].to_list()
            np.testing.assert_allclose(activation["values"], example.acts[first:], atol=6e-4)
            assert activation["qualifying_token_index"] == row["position"] - first
            seen += 1
    assert seen > 20


def test_intervals_are_equal_widths_and_hold_the_share_that_they_say(
    artifacts: Artifacts, batches: Path
) -> None:
    for feature in features_of(batches)[::5]:
        acts = np.asarray(artifacts.feature(feature["feature_index"]).acts, dtype=float)
        found = {(a["bin_min"], a["bin_max"]): a for a in feature["activations"] if a["bin_min"] != -1}
        for (low, high), activation in found.items():
            assert high - low == pytest.approx(acts.max() / Settings().n_bands, abs=2e-3)
            between = ((acts > low - 1e-3) & (acts <= high + 1e-3)).mean()
            assert activation["bin_contains"] == pytest.approx(between, abs=0.05)
            peak = activation["values"][activation["qualifying_token_index"]]
            assert low - 1e-3 <= peak <= high + 1e-3


def test_alignment_is_that_of_the_directions(artifacts: Artifacts, batches: Path) -> None:
    directions = artifacts.array("directions").astype(float)
    for feature in features_of(batches)[::9]:
        direction = directions[feature["feature_index"]]
        expected = sorted(np.abs(direction), reverse=True)[:3]
        np.testing.assert_allclose(np.abs(feature["neuron_alignment_values"]), expected, atol=6e-4)
        np.testing.assert_allclose(
            feature["neuron_alignment_l1"], np.array(expected) / np.abs(direction).sum(), atol=6e-4
        )


def test_the_command(computed: TinyFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--model-type", "mine", "--config", str(computed.config), "--data-dir", f"{computed.root}/data"]
    named = ["--model-id", "m", "--layer", "1", "--sae-set", "s", "--to", str(tmp_path / "out")]
    assert main(["neuronpedia", *where, *named]) == 0
    assert "features in batches of 128" in capsys.readouterr().out
    assert (tmp_path / "out" / "run_settings.json").is_file()

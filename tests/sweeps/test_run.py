"""Whole sweeps: against plain reference computations, in any number of processes, from caches or not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest
import torch

from precompute.models.language_model import load_tokenizer, load_weights
from precompute.models.text_autoencoder import registry
from precompute.models.text_autoencoder.checkpoint import write_header
from precompute.models.text_autoencoder.registry import load_text_autoencoder
from precompute.sweeps import results
from tests.made_autoencoder import add_autoencoder, make_autoencoder
from tests.sweeps.made_sweep import KnownNoise, by_ranks, mse_by_hand, overrides, planned, swept

MANY = ("+eval.num_positions=2", "+eval.max_val_samples=70")
"""Rows of two shards."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sweep")
    make_autoencoder(made, n_texts=100)
    header = json.loads((made / "autoencoder" / "config.json").read_text())
    write_header(made / "autoencoder", {**header, "n_ctx": 24})
    return made


@pytest.fixture(scope="module")
def result(root: Path) -> results.SweepResult:
    return swept(root, *MANY)[0]


def test_results_are_those_of_plain_passes(root: Path, result: results.SweepResult) -> None:
    """Activations by transformers, errors by the autoencoder on each explanation, scores from their rows."""
    rows, entry = result.rows.collect(), result.record["results"]
    model = load_weights(root / "lm", torch.float32)
    loaded = load_text_autoencoder(root / "autoencoder")
    x = []
    for tokens, position in zip(rows["token_ids"].to_list(), rows["position"].to_list(), strict=True):
        with torch.no_grad():
            states = model(torch.tensor([tokens]), output_hidden_states=True, use_cache=False)
        # The last hidden state has passed the final norm; the site has not.
        assert len(states.hidden_states) == 4
        seen: list[torch.Tensor] = []
        handle = model.model.layers[2].register_forward_hook(lambda _m, _i, o, seen=seen: seen.append(o))
        with torch.no_grad():
            model(torch.tensor([tokens]))
        handle.remove()
        found = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        x.append(found[0, position].numpy())
    vectors = np.stack(x).astype(np.float64)
    samples = np.array(rows["samples"].to_list())
    errors = np.square(vectors[:, None] - loaded.reconstruct(samples)).sum(-1)
    np.testing.assert_allclose(np.array(rows["errors"].to_list()), errors, rtol=1e-3)
    assert rows["best"].to_list() == errors.argmin(1).tolist()
    np.testing.assert_allclose(rows["distance"], np.square(vectors - vectors.mean(0)).sum(1), rtol=1e-3)
    for index, k in enumerate(result.k_values):
        expected = mse_by_hand(errors, k)
        total = np.square(vectors - vectors.mean(0)).sum(1).mean()
        assert entry[index]["mse"]["estimate"] == pytest.approx(expected / vectors.shape[1], rel=1e-3)
        assert entry[index]["r_squared"]["estimate"] == pytest.approx(1 - expected / total, rel=1e-3)
        chosen = loaded.reconstruct(samples[np.arange(len(x)), errors[:, :k].argmin(1)])
        recovery = 1 - (vectors - chosen).var(0).sum() / vectors.var(0).sum()
        first = entry[index]["first_k"]["variance_recovery"]
        assert first["estimate"] == pytest.approx(recovery, rel=1e-3, abs=1e-4)
        assert first["bca"][0] < first["estimate"] < first["bca"][1]
    assert result.record["n_rows"] == rows.height > 100
    assert result.record["n_texts"] == rows["text_id"].n_unique()


def test_the_table_of_rows_says_what_was_read(root: Path, result: results.SweepResult) -> None:
    rows = result.rows.collect()
    assert dict(rows.schema) == results.ROWS_SCHEMA
    vocabulary, tokenizer = result.vocabulary, load_tokenizer(str(root / "lm"))
    texts = {row["text_id"]: row["text"] for row in planned(root).texts.iter_rows(named=True)}
    plain = next(r for r in rows.iter_rows(named=True) if texts[r["text_id"]].isascii() and r["chunk"] == 0)
    assert texts[plain["text_id"]].startswith("".join(vocabulary[t] for t in plain["token_ids"][1:]))
    assert vocabulary[plain["token_ids"][0]] == tokenizer.bos_token
    assert rows.select(pl.struct("text_id", "chunk", "position").is_duplicated().any()).item() is False


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_number_of_processes_changes_no_byte(
    root: Path, result: results.SweepResult, world_size: int
) -> None:
    other = by_ranks(planned(root, *MANY, data=f"data{world_size}"), world_size)
    assert other.path.read_bytes() == result.path.read_bytes()
    assert other.rows_file.read_bytes() == result.rows_file.read_bytes()


def test_known_noise_is_recovered_and_covered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From end to end: E[min of K] of errors uniform in (0, 1) is 1 / (K + 1)."""
    monkeypatch.setattr(registry, "KINDS", MappingProxyType({"known": lambda *_: KnownNoise()}))
    header = json.loads((root / "autoencoder" / "config.json").read_text())
    directory = root / "known"
    directory.mkdir()
    write_header(directory, {**header, "kind": "known", "n_tokens": KnownNoise.n_tokens})
    found, _ = swept(
        root, f"+eval.checkpoint_path={directory}", "+eval.num_positions=3", "+eval.n_bootstrap=500",
        data="known_data",
    )  # fmt: skip
    for entry in found.record["results"]:
        low, high = entry["mse"]["bca"]
        assert low <= 1 / (entry["k"] + 1) / found.record["d_in"] <= high


def test_without_the_bootstrap_intervals_are_null(root: Path) -> None:
    found, _ = swept(root, *MANY, "+eval.do_bootstrap=false", "+eval.output_file=plain.json")
    for entry in found.record["results"]:
        for name in ("mse", "variance_recovery", "r_squared"):
            assert entry[name]["percentile"] is entry[name]["bca"] is None
            assert entry[name]["estimate"] is not None
    assert found.record["configuration"]["n_bootstrap"] is None


def test_what_is_fresh_is_not_computed_again(root: Path, result: results.SweepResult) -> None:
    before = result.path.resolve().stat().st_mtime_ns
    again, done = swept(root, *MANY)
    assert (done.n_extracted, done.n_written) == (0, 0)
    assert again.path.resolve().stat().st_mtime_ns == before


class TestCaches:
    """What hits and what misses."""

    @pytest.fixture
    def filled(self, root: Path, result: results.SweepResult, tmp_path: Path) -> str:
        """A data directory of one's own whose caches are full; its name below `root`."""
        name = f"filled-{tmp_path.name}"
        shutil.copytree(root / "data", root / name, symlinks=True)
        return name

    @pytest.mark.parametrize(
        "change",
        ["+eval.temperature=0.5", "+eval.n_bootstrap=60", "+eval.max_generation_batch_size=7",
         "+eval.vector_extraction_batch_size=3", "+eval.max_val_samples=66", "+eval.k_values=[1,8]"],
    )  # fmt: skip
    def test_other_measurements_extract_nothing(self, root: Path, filled: str, change: str) -> None:
        _, done = swept(root, *MANY, change, data=filled)
        assert done.n_extracted == 0
        assert (done.n_written > 0) == ("temperature" in change or "k_values" in change)

    @pytest.mark.parametrize(
        "change",
        [
            "+eval.num_positions=1",
            "+eval.min_pos=4",
            "+eval.seed=1",
            "+eval.position_selection_strategy=last",
            "data.held_out={source:[s1]}",
        ],
    )
    def test_other_rows_are_extracted(self, root: Path, filled: str, change: str) -> None:
        assert swept(root, *MANY, change, data=filled)[1].n_extracted > 0

    def test_another_autoencoder_of_the_same_model_shares_the_activations(
        self, root: Path, filled: str
    ) -> None:
        add_autoencoder(root, "another", seed=5)
        header = json.loads((root / "another" / "config.json").read_text())
        write_header(root / "another", {**header, "n_ctx": 24})
        given = (*MANY, f"+eval.checkpoint_path={root / 'another'}")
        _, done = swept(root, *given, data=filled)
        assert done.n_extracted == 0
        assert done.n_written > 0

    def test_another_model_revision_or_adapter_misses(self, root: Path) -> None:
        plan = planned(root, *MANY)
        header = plan.checkpoint.header
        known = plan.vectors.fingerprint
        for update in ({"revision": "v2"}, {"dtype": "float16"}, {"hook_name": "blocks.1.hook_resid_post"}):
            checkpoint = type(plan.checkpoint)(plan.checkpoint.directory, header.model_copy(update=update))
            assert type(plan)(plan.settings, checkpoint, plan.data_dir).vectors.fingerprint != known
        adapter = root / "explainer_as_adapter"
        shutil.copytree(root / "autoencoder" / "explainer", adapter, dirs_exist_ok=True)
        adapted = type(plan.checkpoint)(
            plan.checkpoint.directory, header.model_copy(update={"adapter": str(adapter)})
        )
        first = type(plan)(plan.settings, adapted, plan.data_dir).vectors.fingerprint
        path = adapter / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
        second = type(plan)(plan.settings, adapted, plan.data_dir).vectors.fingerprint
        assert len({known, first, second}) == 3

    def test_another_dataset_misses(self, root: Path, tmp_path: Path) -> None:
        lines = (root / "texts.jsonl").read_text().splitlines()
        (tmp_path / "texts.jsonl").write_text("\n".join([*lines[:-5], *lines[-4:]]) + "\n")
        known = planned(root).vectors.fingerprint
        assert planned(root, f"data.dataset={tmp_path / 'texts.jsonl'}").vectors.fingerprint != known

    def test_more_samples_keep_the_first(self, root: Path, filled: str, result: results.SweepResult) -> None:
        more, done = swept(root, *MANY, "+eval.n_samples=12", data=filled)
        before = np.array(result.rows.collect()["samples"].to_list())
        after = np.array(more.rows.collect()["samples"].to_list())
        np.testing.assert_array_equal(after[:, :8], before)
        assert done.n_written == 4 * len(before)
        fewer, done = swept(root, *MANY, "+eval.n_samples=10", "+eval.max_val_samples=9", data=filled)
        assert done.n_written == 0
        n = fewer.rows.collect().height
        np.testing.assert_array_equal(np.array(fewer.rows.collect()["samples"].to_list()), after[:n, :10])

    def test_few_rows_with_many_samples_lose_none_of_the_others(self, root: Path, filled: str) -> None:
        swept(root, *MANY, "+eval.n_samples=12", "+eval.max_val_samples=9", data=filled)
        _, done = swept(root, *MANY, "+eval.n_bootstrap=70", data=filled)
        assert done.n_written == 0

    @pytest.mark.parametrize(
        ("kind", "damage"),
        [
            ("vectors", "cut"),
            ("vectors", "flip"),
            ("vectors", "record"),
            ("vectors", "gone"),
            ("samples", "cut"),
            ("scores", "flip"),
        ],
    )
    def test_what_is_damaged_is_found_and_rebuilt(
        self, root: Path, filled: str, result: results.SweepResult, kind: str, damage: str
    ) -> None:
        (path,) = (root / filled / "vector_cache" / kind).glob("*/00000001.safetensors")
        record = path.with_suffix(".json")
        whole = path.read_bytes()
        if damage == "cut":
            path.write_bytes(whole[: len(whole) // 2])
        elif damage == "flip":
            path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 4]) + whole[-1:])
        elif damage == "record":
            record.write_text(record.read_text().replace('"n_bytes": ', '"n_bytes": 1'))
        else:
            path.unlink()
        shutil.rmtree(root / filled / "eval_results")
        again, done = swept(root, *MANY, data=filled)
        assert again.path.read_bytes() == result.path.read_bytes()
        assert done.n_rebuilt == 1
        assert path.read_bytes() == whole or kind == "scores"

    def test_a_store_that_is_not_to_be_loaded_is_replaced(self, root: Path, filled: str) -> None:
        found, done = swept(root, *MANY, "+eval.load_store=false", data=filled)
        assert done.n_written == 8 * found.record["n_rows"]
        assert done.n_extracted >= found.record["n_rows"]


def command(root: Path, data: str, *launcher: str) -> subprocess.Popen[bytes]:
    module = (
        [*launcher, "-m", "precompute.sweeps.best_of_k"]
        if launcher
        else ["-m", "precompute.sweeps.best_of_k"]
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *module, *overrides(root, *MANY, data=data)], env=environment, stdout=subprocess.PIPE
    )


@pytest.mark.full
def test_torchrun_gives_the_same_bytes(root: Path, result: results.SweepResult) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    process = command(root, "torchrun", *launcher)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    assert output.count(b"oracle selection") == 1
    path = root / "torchrun" / "eval_results" / "k_sweep_results.json"
    assert path.read_bytes() == result.path.read_bytes()


@pytest.mark.full
def test_a_killed_sweep_goes_on_to_the_same_bytes(root: Path, result: results.SweepResult) -> None:
    process = command(root, "killed")
    scored = root / "killed" / "vector_cache" / "scores"
    until = time.monotonic() + 100
    while not list(scored.glob("*/00000000.json")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (root / "killed" / "eval_results" / "k_sweep_results.json").exists()
    again, done = swept(root, *MANY, data="killed")
    assert again.path.read_bytes() == result.path.read_bytes()
    assert done.n_extracted < again.record["n_rows"]

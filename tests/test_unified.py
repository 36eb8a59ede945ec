"""The orchestrator, end to end, on a user's own small model type."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from precompute import open_artifacts
from precompute.artifacts.digests import file_digest
from precompute.pipeline.registry import steps
from tests.conftest import run
from tests.tiny import TinyFiles, make_config


@pytest.fixture
def mine(computed: TinyFiles, tmp_path: Path) -> TinyFiles:
    """A copy that a test may damage."""
    shutil.copytree(computed.root, tmp_path / "copy", symlinks=True)
    return TinyFiles(tmp_path / "copy")


def states(files: TinyFiles) -> dict[str, str]:
    artifacts = open_artifacts("mine", files.root / "data", files.config)
    return {status.step: status.state for status in artifacts.status()}


def contents(directory: Path) -> dict[str, str]:
    """The digest of every published file of a subject, by its path below `artifacts`."""
    found = {}
    for pointer in sorted((directory / "artifacts").iterdir()):
        version = pointer.resolve()
        for path in sorted(p for p in version.rglob("*") if p.is_file()):
            found[f"{pointer.name}/{path.relative_to(version)}"] = file_digest(path)
    return found


def test_a_run_makes_everything_fresh_and_the_next_does_nothing(
    computed: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(states(computed).values()) == {"fresh"}
    before = contents(computed.root / "data" / "precomputed_mine")
    capsys.readouterr()
    assert run(computed) == 0
    assert f"0 steps computed, {len(steps())} already fresh" in capsys.readouterr().err
    assert contents(computed.root / "data" / "precomputed_mine") == before


def test_status_as_json_names_every_step(computed: TinyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(computed, "--status", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [step["step"] for step in record["steps"]] == list(steps())
    assert {step["state"] for step in record["steps"]} == {"fresh"}
    assert all(step["n_bytes"] > 0 and step["seconds"] is not None for step in record["steps"])


def test_every_output_that_a_step_declares_is_there(computed: TinyFiles) -> None:
    for step in steps().values():
        for output in step.outputs:
            assert (computed.root / "data" / "precomputed_mine" / output).exists(), output


DEPENDANTS_OF_TOP_K = {"influences", "token_influences"}


def test_a_setting_makes_its_readers_stale_and_nothing_else(
    mine: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(mine, "--top-k", "7", "--plan") == 0
    planned = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert planned >= DEPENDANTS_OF_TOP_K
    expected = readers_of(DEPENDANTS_OF_TOP_K)
    assert planned == expected
    assert run(mine, "--top-k", "7") == 0
    assert set(states(mine).values()) == {"fresh"}
    table = open_artifacts("mine", mine.root / "data", mine.config).table("influences")
    assert table["rank"].n_unique() == 7


def readers_of(names: set[str]) -> set[str]:
    """These steps and all that read them, directly or not."""
    found = set(names)
    for step in steps().values():
        if found & set(step.inputs):
            found.add(step.name)
    return found


def change_corpus(mine: TinyFiles) -> None:
    with mine.corpus.open("a") as file:
        file.write('{"text": "one more text", "source": "s1", "year": 2001}\n')


def change_sae(mine: TinyFiles) -> None:
    flip_last_byte(mine.sae / "sae.safetensors")


def change_model(mine: TinyFiles) -> None:
    flip_last_byte(mine.model / "model.safetensors")


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize(
    ("change", "source"), [(change_corpus, "corpus"), (change_sae, "sae"), (change_model, "model")]
)
def test_a_changed_source_makes_exactly_its_dependants_stale(
    mine: TinyFiles, change: Callable[[TinyFiles], None], source: str
) -> None:
    change(mine)
    expected = readers_of({step.name for step in steps().values() if source in step.sources})
    assert {name for name, state in states(mine).items() if state == "stale"} == expected
    assert {name for name, state in states(mine).items() if state != "stale"} == set(steps()) - expected


def test_an_input_computed_anew_with_other_bytes_makes_its_readers_stale(mine: TinyFiles) -> None:
    """The fingerprint is the same, but the content is not: a digest tells."""
    from precompute.artifacts.manifest import describe_files, read_manifest

    shelf = open_artifacts("mine", mine.root / "data", mine.config).subject.shelf
    manifest = read_manifest(shelf.current("idf"))
    staging = shelf.stage("idf", manifest.fingerprint, resumable=False)
    table = pl.read_parquet(shelf.current("idf") / "idf.parquet")
    table.with_columns(pl.col("idf") + 1).write_parquet(staging / "idf.parquet")
    shelf.publish(staging, manifest.model_copy(update={"files": describe_files(staging)}), ["idf.parquet"])
    direct = {step.name for step in steps().values() if "idf" in step.inputs}
    assert {name for name, state in states(mine).items() if state == "stale"} == direct


def test_verify_names_damage_and_the_next_run_repairs_it(
    mine: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(mine.root / "data" / "precomputed_mine")
    flip_last_byte(mine.root / "data" / "precomputed_mine" / "histograms.parquet")
    (mine.root / "data" / "precomputed_mine" / "idf.parquet").resolve().unlink()
    acts = sorted((mine.root / "data" / "precomputed_mine" / "feature_major").rglob("acts.npy"))[0].resolve()
    acts.write_bytes(acts.read_bytes()[:-8])
    capsys.readouterr()
    assert run(mine, "--verify") == 1
    out = capsys.readouterr().out
    assert "histograms: histograms.parquet: its bytes do not match" in out
    assert "idf: idf.parquet: missing" in out
    assert "acts.npy" in out
    found = states(mine)
    assert {name for name, state in found.items() if state == "corrupt"} == {"histograms", "idf", "transpose"}
    assert run(mine) == 0
    assert run(mine, "--verify") == 0
    assert contents(mine.root / "data" / "precomputed_mine") == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.full
@pytest.mark.parametrize("damage", [flip_last_byte, cut, Path.unlink])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_damage_anywhere_is_named_and_repaired(
    mine: TinyFiles, damage: Callable[[Path], None], seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file of every artifact at once, its manifest among those that may be drawn."""
    directory = mine.root / "data" / "precomputed_mine"
    before, draw = contents(directory), random.Random(seed)
    damaged = {}
    for name in steps():
        files = sorted(
            path for path in (directory / "artifacts" / name).resolve().rglob("*") if path.is_file()
        )
        damaged[name] = draw.choice(files)
        damage(damaged[name])
    capsys.readouterr()
    assert run(mine, "--verify") == 1
    lines = capsys.readouterr().out.splitlines()
    for name, path in damaged.items():
        named = [line for line in lines if line.startswith(f"{name}:") and path.name in line]
        assert named, (name, path.name, lines)
    assert run(mine) == 0
    assert run(mine, "--verify") == 0
    assert contents(directory) == before


def test_workers_and_backend_and_method_change_no_table(computed: TinyFiles, tmp_path: Path) -> None:
    expected = tables(computed.root / "data" / "precomputed_mine")
    other = TinyFiles(tmp_path / "zarr")
    shutil.copytree(computed.root, other.root, ignore=shutil.ignore_patterns("data"))
    make_config(other.config, "zarr")
    assert run(other, "--workers", "1", "--method", "fast") == 0
    found = tables(other.root / "data" / "precomputed_mine")
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def tables(directory: Path) -> dict[str, str]:
    """The digest of every artifact that is not an activation store."""
    stores = ("activations/", "transpose/")
    return {
        name: content
        for name, content in contents(directory).items()
        if not name.startswith(stores) and not name.endswith("manifest.json")
    }


def test_only_computes_what_it_needs(computed: TinyFiles, tmp_path: Path) -> None:
    other = TinyFiles(tmp_path / "only")
    shutil.copytree(computed.root, other.root, ignore=shutil.ignore_patterns("data"))
    assert run(other, "--only", "idf") == 0
    found = states(other)
    assert {name for name, state in found.items() if state == "fresh"} == {"corpus", "activations", "idf"}


def test_a_test_run_has_a_directory_of_its_own(mine: TinyFiles) -> None:
    before = contents(mine.root / "data" / "precomputed_mine")
    assert run(mine, "--features", "10:20", "--only", "feature_stats") == 0
    table = open_artifacts("mine", mine.root / "data", mine.config, features=(10, 20)).table("feature_stats")
    whole = open_artifacts("mine", mine.root / "data", mine.config).table("feature_stats")
    assert table["feature"].to_list() == list(range(10, 20))
    assert table.equals(whole.filter(pl.col("feature").is_between(10, 19)))
    assert contents(mine.root / "data" / "precomputed_mine") == before


def test_nothing_is_imported_that_status_does_not_need() -> None:
    code = (
        "import sys, precompute.unified, precompute.reading; from precompute.pipeline.registry import steps;"
        "steps(); print([m for m in ('torch', 'numba', 'sklearn', 'umap', 'peft') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

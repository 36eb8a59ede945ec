"""Sets on disk: reuse, staleness, damage, interruption, search, map."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute.corpus.snapshot import snapshot_file
from precompute.embeddings import open_embeddings
from precompute.embeddings.compute import compute
from precompute.embeddings.embedding_set import SetSettings
from precompute.embeddings.freshness import Freshness
from precompute.embeddings.graph import FILES, GRAPH, SCRATCH, read_graph
from precompute.embeddings.map import compute_map
from precompute.embeddings.operations import Operations
from precompute.embeddings.search import nearest_rows, search, similar
from precompute.embeddings.vector_shards import ShardDirectory, VectorShard
from precompute.errors import ArtifactMissingError, CorruptArtifactError, ModelError, UsageError
from precompute.geometry.knn import nearest
from tests.embeddings.conftest import Embedder
from tests.embeddings.test_vectors import cosines


@pytest.fixture(scope="session")
def computed(pristine: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """All embedded and mapped; not to be changed."""
    root = tmp_path_factory.mktemp("computed")
    shutil.copytree(pristine.directory, root / "model")
    shutil.copy(pristine.dataset, root / "texts.jsonl")
    embedder = Embedder(root / "model", root / "texts.jsonl", pristine.texts, pristine.vectors)
    assert embedder.run("--all-sizes", "--shard-size", "16") == 0
    from precompute.embeddings.map import MapSettings

    compute_map(open_embeddings(embedder.directory, "full"), MapSettings(min_cluster_size=5, epochs=30))
    return embedder


@pytest.fixture
def own(computed: Embedder, tmp_path: Path) -> Embedder:
    """A copy of it to change."""
    shutil.copytree(computed.directory, tmp_path / "model", symlinks=True)
    shutil.copy(computed.dataset, tmp_path / "texts.jsonl")
    for path in (tmp_path / "model" / "embeddings").glob("*/settings.json"):
        settings = json.loads(path.read_text())
        path.write_text(json.dumps({**settings, "dataset": str(tmp_path / "texts.jsonl")}))
    return Embedder(tmp_path / "model", tmp_path / "texts.jsonl", computed.texts, computed.vectors)


def states(embedder: Embedder, size: str = "full") -> dict[str, str]:
    return {s.step: s.state for s in Freshness(open_embeddings(embedder.directory, size)).statuses()}


def test_sizes_hold_the_same_vectors_in_the_same_order(computed: Embedder) -> None:
    full = open_embeddings(computed.directory, "full")
    assert cosines(full.vectors, computed.vectors).min() > 0.99999
    for size in ("toy", "tiny", "small", "medium"):
        part = open_embeddings(computed.directory, size)
        assert len(part) == (100 if size == "toy" else 101)
        assert np.array_equal(part.vectors, full.vectors[: len(part)])
        assert part.metadata.collect().equals(full.metadata.head(len(part)).collect())


def test_metadata_and_info_say_what_was_done(computed: Embedder) -> None:
    full = open_embeddings(computed.directory, "full")
    table = full.metadata.collect()
    assert table["row"].to_list() == list(range(101))
    assert table["text"].to_list() == computed.texts
    first = {text: row for row, text in reversed(list(enumerate(computed.texts)))}
    expected = [None if first[text] == row else first[text] for row, text in enumerate(computed.texts)]
    assert table["duplicate_of"].to_list() == expected
    assert table["year"].to_list() == [2000 + i % 5 for i in range(101)]
    assert table["is_cut"].sum() == full.info["n_cut"] == 1
    assert table.filter(pl.col("is_cut"))["n_tokens"].to_list() == [256]
    assert full.info["n_distinct"] == len(set(computed.texts))
    assert (full.info["n"], full.info["d"], full.info["dtype"]) == (101, full.d, "float32")


def test_fresh_sets_load_no_model(computed: Embedder, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from precompute.embeddings.__main__ import main; main(sys.argv[1:]); "
    code += "assert 'torch' not in sys.modules"
    arguments = ["--model-dir", str(computed.directory), "--dataset", str(computed.dataset), "--all-sizes"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("already fresh") == 5


def test_appended_texts_alone_are_encoded(own: Embedder, capsys: pytest.CaptureFixture[str]) -> None:
    before = np.array(open_embeddings(own.directory, "full").vectors)
    with own.dataset.open("a") as file:
        file.write('{"text": "one text more"}\n{"text": "x"}\n')
    assert states(own) == {"embeddings": "stale", "neighbors": "stale", "map": "stale"}
    assert states(own, "toy")["embeddings"] == "fresh"
    assert own.run("--dataset-size", "full") == 0
    assert (
        "103 texts, 98 distinct: 1 encoded, 0 from finished shards, 97 from other sets"
        in capsys.readouterr().err
    )
    after = open_embeddings(own.directory, "full")
    assert np.array_equal(after.vectors[:101], before)
    assert np.array_equal(after.vectors[102], before[own.texts.index("x")])


@pytest.mark.full
def test_two_sizes_at_once_do_not_lose_each_others_shards(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SetSettings(dataset=str(embedder.dataset))
    operations = Operations(device="cpu", shard_texts=16)
    write, others = ShardDirectory.write, []

    def compute_size(size: str) -> None:
        compute(str(embedder.directory), [size], settings, operations)

    def write_beside_another(directory: ShardDirectory, shard: VectorShard) -> Path:
        path = write(directory, shard)
        if not others:
            others.append(threading.Thread(target=compute_size, args=("full",)))
            others[0].start()
            others[0].join(3)
        return path

    monkeypatch.setattr(ShardDirectory, "write", write_beside_another)
    compute_size("toy")
    others[0].join(60)
    toy, full = (open_embeddings(embedder.directory, size) for size in ("toy", "full"))
    assert cosines(full.vectors, embedder.vectors).min() > 0.99999
    assert np.array_equal(toy.vectors, full.vectors[:100])


def test_the_snapshot_is_taken_by_as_many_workers_as_are_asked_for(
    embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def take(data_dir: Path, workers: int) -> Path:
        asked.append(workers)
        path = snapshot_file(data_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"text": ["one text", "another"], "package": ["a", "b"]}).write_parquet(path)
        return path

    monkeypatch.setattr("precompute.embeddings.datasets.take_snapshot", take)
    operations = Operations(device="cpu", workers=3)
    compute(str(embedder.directory), ["toy"], SetSettings(), operations, tmp_path / "data")
    assert asked[0] == 3  # what is read later is there already


@pytest.mark.parametrize("part", ["lora_adapters/adapter_model.safetensors", "projection.safetensors"])
def test_a_changed_byte_makes_embeddings_and_map_stale(own: Embedder, part: str) -> None:
    assert states(own) == {"embeddings": "fresh", "neighbors": "fresh", "map": "fresh"}
    path = own.directory / part
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert states(own) == {"embeddings": "stale", "neighbors": "stale", "map": "stale"}
    status = Freshness(open_embeddings(own.directory, "full")).status("embeddings")
    assert ("adapter" if "adapter" in part else "projection") in status.reason
    with pytest.raises(UsageError, match="stale"):
        compute_map(open_embeddings(own.directory, "full"))
    with pytest.raises(ModelError, match="other weights"):
        search(open_embeddings(own.directory, "full"), "list")
    assert own.run("--dataset-size", "full") == 0
    assert states(own)["embeddings"] == "fresh"
    assert states(own)["map"] == "stale"


def test_another_map_embeds_nothing(own: Embedder) -> None:
    from precompute.embeddings.map import MapSettings

    embedded = open_embeddings(own.directory, "full")
    before = embedded.shelf.manifest("embeddings")
    assert compute_map(embedded, MapSettings(min_cluster_size=5, epochs=30)) == []
    assert compute_map(embedded, MapSettings(min_cluster_size=5, epochs=20, seed=3)) == ["map"]
    assert compute_map(embedded, MapSettings(neighbors=4, epochs=20)) == ["neighbors", "map"]
    assert embedded.shelf.manifest("embeddings") == before
    assert set(states(own).values()) == {"fresh"}


def test_the_map_has_a_place_for_every_text(computed: Embedder) -> None:
    embedded = open_embeddings(computed.directory, "full")
    drawn, clusters = embedded.table("map"), embedded.table("clusters")
    assert drawn["row"].to_list() == list(range(101))
    assert drawn.select(pl.col("x", "y").is_finite().all()).row(0) == (True, True)
    first = embedded.metadata.collect()["duplicate_of"]
    for row, original in enumerate(first):
        if original is not None:
            assert drawn.row(row)[1:] == drawn.row(original)[1:]
    sizes = drawn.filter(pl.col("cluster") >= 0)["cluster"].value_counts(sort=True)
    assert dict(clusters.select("cluster", "n").rows()) == dict(sizes.rows())


def test_the_graph_is_that_of_an_exact_search(computed: Embedder) -> None:
    embedded = open_embeddings(computed.directory, "full")
    graph = read_graph(embedded.shelf.current(GRAPH))
    first = embedded.metadata.collect()["duplicate_of"]
    assert graph.rows.tolist() == [row for row, original in enumerate(first) if original is None]
    expected = nearest(embedded.vectors[graph.rows].astype(np.float32), 15)
    np.testing.assert_array_equal(graph.index, expected.index)
    np.testing.assert_allclose(graph.cosine, expected.cosine, atol=1e-6)
    record = json.loads((embedded.shelf.current(GRAPH) / FILES[-1]).read_text())
    assert (record["index"], record["recall"]) == ("flat", 1)


def test_a_set_too_large_to_lay_out_whole_has_a_place_for_every_text(own: Embedder) -> None:
    from precompute.embeddings.map import MapSettings

    embedded = open_embeddings(own.directory, "full")
    assert compute_map(embedded, MapSettings(min_cluster_size=5, epochs=30, largest=40)) == ["map"]
    drawn = open_embeddings(own.directory, "full").table("map")
    places = drawn.select("x", "y").to_numpy()
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) > 40
    whole = compute_map(embedded, MapSettings(min_cluster_size=5, epochs=30))
    assert whole == ["map"]
    assert not [path for path in own.directory.rglob("*") if path.name == SCRATCH]


def test_a_byte_of_the_vectors_that_changes_is_found(own: Embedder) -> None:
    path = (own.directory / "embeddings" / "full" / "embeddings.npy").resolve()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert own.run("--dataset-size", "full", "--verify") == 1
    with pytest.raises(CorruptArtifactError, match=r"embeddings\.npy"):
        open_embeddings(own.directory, "full").manifest()
    assert own.run("--dataset-size", "full") == 0
    assert states(own)["embeddings"] == "fresh"


SLOW = """
import sys, time
from precompute.embeddings.__main__ import main
from precompute.embeddings.encoder import TextEncoder
vectors = TextEncoder._vectors
TextEncoder._vectors = lambda encoder, batch: (time.sleep(0.05), vectors(encoder, batch))[1]
main(sys.argv[1:])
"""


@pytest.mark.full
def test_a_killed_run_loses_its_open_shard_alone(
    embedder: Embedder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--dataset-size", "full", "--shard-size", "16", "--batch-size", "1"]
    named = ["--model-dir", str(embedder.directory), "--dataset", str(embedder.dataset), "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *named, *chosen], stderr=subprocess.DEVNULL)
    root = embedder.directory / "embeddings"
    deadline = time.monotonic() + 200
    while len(list(root.glob(".shards-*/*.safetensors"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    n_finished = len(list(root.glob(".shards-*/[!.]*.safetensors")))
    assert 2 <= n_finished < 7
    assert not (root / "full" / "embeddings.npy").exists()
    assert embedder.run(*chosen) == 0
    told = f"97 distinct: {97 - 16 * n_finished} encoded, {16 * n_finished} from finished shards"
    assert told in capsys.readouterr().err
    found = open_embeddings(embedder.directory, "full")
    assert cosines(found.vectors, embedder.vectors).min() > 0.99999
    assert not list(root.glob(".shards-*"))
    # The same bytes as without the interruption.
    assert embedder.run(*chosen, "--data-dir", str(tmp_path / "other")) == 0
    uninterrupted = open_embeddings(embedder.directory, "full", tmp_path / "other")
    assert np.array_equal(uninterrupted.vectors, found.vectors)


def test_search_finds_the_nearest_by_brute_force(computed: Embedder) -> None:
    embedded = open_embeddings(computed.directory, "full")
    found = search(embedded, computed.texts[20], 7)
    scores = computed.vectors @ computed.vectors[20]
    expected = sorted(range(101), key=lambda row: (-round(scores[row], 5), row))[:7]
    assert found["row"].to_list() == expected
    assert np.allclose(found["cosine"], scores[expected], atol=1e-5)
    assert found["text"].to_list() == [computed.texts[row] for row in expected]
    near = similar(embedded, 20, 5)
    assert near["row"].to_list() == [row for row in expected if row != 20][:5]


def test_nearest_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    vectors, query = draw.normal(size=(50, 6)).astype(np.float16), draw.normal(size=6).astype(np.float32)
    vectors[7] = 0
    vectors[30] = vectors[3]
    monkeypatch.setattr("precompute.embeddings.search.BLOCK", 16)
    wide = vectors.astype(np.float64)
    scores = wide @ query / np.maximum(np.linalg.norm(wide, axis=1), 1e-30) / np.linalg.norm(query)
    hits = nearest_rows(vectors, query, 80)
    assert hits.rows.tolist() == sorted(
        range(50), key=lambda row: (-np.float32(scores[row]), row)
    ) or np.allclose(scores[hits.rows], np.sort(scores)[::-1], atol=1e-6)
    with pytest.raises(UsageError, match="k = 0"):
        nearest_rows(vectors, query, 0)


def test_rows_are_fetched_in_the_order_asked_for(computed: Embedder) -> None:
    embedded = open_embeddings(computed.directory, "full")
    assert embedded.rows([5, 0, 5, 100])["text"].to_list() == [computed.texts[row] for row in (5, 0, 5, 100)]
    assert embedded.rows(list(range(100, -1, -1)) * 3)["row"].to_list() == list(range(100, -1, -1)) * 3
    assert embedded.rows([]).height == 0
    with pytest.raises(UsageError, match="row 101"):
        embedded.rows([101])


def test_what_is_not_computed_names_its_command(tmp_path: Path, pristine: Embedder) -> None:
    with pytest.raises(ArtifactMissingError, match=r"python -m precompute\.embeddings --model-dir"):
        _ = open_embeddings(pristine.directory, "toy", tmp_path).vectors
    with pytest.raises(ArtifactMissingError, match=r"python -m precompute\.embeddings map"):
        open_embeddings(pristine.directory, "toy", tmp_path).table("map")


def test_float16_vectors(embedder: Embedder) -> None:
    assert embedder.run("--dataset-size", "full", "--vectors-dtype", "float16", "--token-budget", "300") == 0
    found = open_embeddings(embedder.directory, "full")
    assert found.vectors.dtype == np.float16
    assert cosines(np.array(found.vectors), embedder.vectors).min() > 0.9999
    from precompute.embeddings.map import MapSettings

    assert compute_map(found, MapSettings(epochs=5)) == ["neighbors", "map"]
    graph = read_graph(found.shelf.current(GRAPH))
    expected = nearest(np.asarray(found.vectors[graph.rows], dtype=np.float32), 15)
    np.testing.assert_array_equal(graph.index, expected.index)

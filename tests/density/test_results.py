"""From prompts to published weights: against brute force, whole or in parts, after kills and changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from precompute.artifacts.shelf import Shelf
from precompute.density import encoding, open_density
from precompute.density.merge import common_k, common_weight_settings, joined_embeddings
from precompute.density.neighbors import SearchSettings
from precompute.density.plan import compute, statuses, weights_from
from precompute.density.results import DensityResult
from precompute.density.weights import WeightSettings
from precompute.errors import ArtifactMissingError, CorruptArtifactError, UsageError
from tests.density import oracle
from tests.density.made_parts import MadeEncoder, Unwatched, computed, drawn, embedded

METADATA_KEYS = {
    "n_prompts", "embedding_dim", "embedding_dtype", "weights_dtype", "model_vocab_size", "model_n_embd",
    "normalization", "weights_min", "weights_max", "weights_mean", "weights_std",
    "k", "metric", "model", "model_fingerprint", "alpha", "cap", "mix", "favor", "effective_sample_size",
    "n_distinct", "index_recall",
}  # fmt: skip


@pytest.mark.parametrize("favor", ["rare", "dense"])
def test_weights_are_the_whole_definition_worked_out_slowly(tmp_path: Path, favor: str) -> None:
    texts, encoder = drawn(300, n_distinct=120)
    how = WeightSettings(alpha=1.5, favor=favor, cap=2, mix=0.2)
    found = computed(tmp_path, texts, encoder, k=7, weighing=how)
    expected = oracle.row_weights(
        texts, encoder.encode(texts), k=7, alpha=1.5, sign=1 if favor == "rare" else -1, cap=2, mix=0.2
    )
    np.testing.assert_allclose(found.weights, expected, rtol=1e-5)
    assert found.weights.dtype == np.float32
    assert found.weights.astype(np.float64).sum() == pytest.approx(1, abs=1e-6)
    distinct = list(dict.fromkeys(texts))
    order, cosine = oracle.neighbors(encoder.encode(distinct), 7)
    np.testing.assert_array_equal(found.neighbors, order)
    np.testing.assert_allclose(found.distances, (1 - cosine).mean(axis=1), atol=1e-12)


def test_the_directory_has_the_names_and_keys_that_were_promised(tmp_path: Path) -> None:
    texts, encoder = drawn(50, n_distinct=30)
    found = computed(tmp_path, texts, encoder)
    visible = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    files = {"embeddings.npy", "density_weights.npy", "prompts_list.json", "embeddings_metadata.json"}
    assert visible == files | {"artifacts", "versions"}
    assert json.loads((tmp_path / "prompts_list.json").read_text()) == texts == found.prompts()
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), encoder.encode(texts))
    weights = np.load(tmp_path / "density_weights.npy")
    record = json.loads((tmp_path / "embeddings_metadata.json").read_text())
    assert record.keys() == METADATA_KEYS
    assert record == record | {
        "n_prompts": 50, "embedding_dim": 12, "embedding_dtype": "float32", "weights_dtype": "float32",
        "model_vocab_size": 330, "model_n_embd": 32, "normalization": "l2", "k": 10, "metric": "cosine",
        "alpha": 1.0, "cap": 10.0, "mix": 0.1, "favor": "rare", "n_distinct": len(set(texts)),
        "index_recall": 1.0,
    }  # fmt: skip
    assert record["weights_min"] == pytest.approx(weights.min())
    assert record["weights_max"] == pytest.approx(weights.max())
    assert record["weights_mean"] == pytest.approx(1 / 50)
    assert record["weights_std"] == pytest.approx(weights.std(), rel=1e-4)
    assert record["effective_sample_size"] == pytest.approx(1 / (weights.astype(float) ** 2).sum())


def test_each_distinct_text_is_encoded_once(tmp_path: Path) -> None:
    texts, encoder = drawn(200, n_distinct=20)
    computed(tmp_path, [*texts, "text 0\r\n".strip()], encoder)
    assert encoder.n_encoded == len(set(texts))


@pytest.mark.parametrize("texts", [["a"], ["a", "a", "a"], ["a", "b"], ["a", "b", "b"], ["a", "b", "c", "d"]])
def test_few_texts_and_equal_distances_are_shared_alike(tmp_path: Path, texts: list[str]) -> None:
    encoder = MadeEncoder(dict(zip("abcd", np.eye(4), strict=True)))
    found = computed(tmp_path, texts, encoder)
    shares = [1 / len(set(texts)) / texts.count(text) for text in texts]
    np.testing.assert_allclose(found.weights, shares, rtol=1e-6)
    assert found.metadata["k"] == min(10, len(set(texts)) - 1)


def cluster_and_outlier() -> tuple[list[str], MadeEncoder]:
    draw = np.random.default_rng(0)
    centre = draw.normal(size=16)
    vectors = {f"near {i}": centre + 0.05 * draw.normal(size=16) for i in range(60)}
    vectors["alone"] = -centre
    return [*vectors, *["near 0"] * 500], MadeEncoder(vectors)


def test_an_isolated_point_outweighs_a_cluster_and_duplicates_do_not_take_the_mass(tmp_path: Path) -> None:
    texts, encoder = cluster_and_outlier()
    found = computed(tmp_path, texts, encoder)
    alone = texts.index("alone")
    assert found.weights[alone] > 4 * found.weights[:60].max()
    mass_of_copied = sum(found.weights[row] for row, text in enumerate(texts) if text == "near 0")
    others = found.weights[1:60]
    assert others.min() / 2 < mass_of_copied < 2 * others.max()
    once = computed(tmp_path / "once", texts[:61], encoder)
    np.testing.assert_allclose(mass_of_copied, once.weights[0], rtol=1e-5)
    dense = computed(tmp_path / "dense", texts, encoder, weighing=WeightSettings(favor="dense"))
    assert dense.weights[alone] < others.min()


def merged(parts: list[Path], out: Path, exact_operations: float = 1e13) -> DensityResult:
    search = SearchSettings(common_k(parts, None), exact_operations)
    wanted = weights_from(
        Shelf(out), joined_embeddings(parts), search, WeightSettings(**common_weight_settings(parts, {})), 1
    )
    return compute(Shelf(out), wanted, Unwatched())


@pytest.mark.parametrize(
    "cuts",
    [pytest.param([150], marks=pytest.mark.full), [1], pytest.param([10, 11, 250], marks=pytest.mark.full)],
)
def test_merged_parts_are_the_whole(tmp_path: Path, cuts: list[int]) -> None:
    texts, encoder = drawn(300, n_distinct=200, seed=3)
    how = WeightSettings(alpha=2)
    whole = computed(tmp_path / "whole", texts, encoder, k=4, weighing=how)
    bounds = [0, *cuts, len(texts)]
    parts = [tmp_path / f"part {first}" for first in bounds[:-1]]
    for part, first, stop in zip(parts, bounds[:-1], bounds[1:], strict=True):
        computed(part, texts[first:stop], encoder, k=4, weighing=how)
    found = merged(parts, tmp_path / "merged")
    assert found.prompts() == texts
    for name in ("weights", "embeddings", "groups", "neighbors", "cosines", "distances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)
    assert found.metadata == whole.metadata


@pytest.mark.full
def test_merged_parts_reach_their_recall_where_the_search_is_not_exact(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    centres = draw.normal(size=(60, 16))
    vectors = {f"t{i}": centres[i % 60] + 0.7 * draw.normal(size=16) for i in range(4000)}
    texts, encoder = list(vectors), MadeEncoder(vectors)
    for name, part in (("a", texts[:1500]), ("b", texts[1500:])):
        computed(tmp_path / name, part, encoder)
    found = merged([tmp_path / "a", tmp_path / "b"], tmp_path / "merged", exact_operations=1.0)
    _, best = oracle.neighbors(encoder.encode(texts), 10)
    recall = (found.cosines >= best[:, -1:] - 1e-12).mean()
    assert recall >= 0.95
    assert found.metadata["index_recall"] == pytest.approx(recall, abs=0.03)
    assert found.metadata["index_recall"] >= 0.95


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    texts, encoder = drawn(30)
    computed(tmp_path / "a", texts[:10], encoder, k=3)
    computed(tmp_path / "b", texts[10:], encoder, k=5, weighing=WeightSettings(mix=0.5))
    parts = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(UsageError, match="k = 3, 5"):
        common_k(parts, None)
    assert common_k(parts, 7) == 7
    with pytest.raises(UsageError, match=r"mix = 0\.1, 0\.5"):
        common_weight_settings(parts, {})
    assert common_weight_settings(parts, {"mix": 0.2}) == WeightSettings(mix=0.2).model_dump()
    with pytest.raises(UsageError, match="without prompt_embeddings"):
        joined_embeddings([tmp_path / "a", tmp_path / "nowhere"])
    shelf = Shelf(tmp_path / "other")
    compute(
        shelf,
        weights_from(shelf, embedded(texts, encoder, "other"), SearchSettings(), WeightSettings(), 1),
        Unwatched(),
    )
    with pytest.raises(UsageError, match="another model"):
        joined_embeddings([tmp_path / "a", tmp_path / "other"])


def test_only_what_a_change_touches_is_computed_again(tmp_path: Path) -> None:
    texts, encoder = drawn(40)

    def ran(texts: list[str] = texts, **chosen: object) -> list[str]:
        watch = Unwatched()
        computed(tmp_path, texts, encoder, watch=watch, **chosen)  # type: ignore[arg-type]
        return watch.stages

    assert ran() == ["prompt_embeddings", "prompt_graph", "density_weights"]
    assert ran() == []
    assert ran(weighing=WeightSettings(alpha=2)) == ["density_weights"]
    assert ran(weighing=WeightSettings(alpha=2), k=3) == ["prompt_graph", "density_weights"]
    assert ran(texts[:-1], weighing=WeightSettings(alpha=2), k=3) == [
        "prompt_embeddings", "prompt_graph", "density_weights",
    ]  # fmt: skip
    assert len(list((tmp_path / "versions").iterdir())) == 3


def test_states_say_what_changed(tmp_path: Path) -> None:
    texts, encoder = drawn(40)
    shelf = Shelf(tmp_path)

    def found(mark: str = "made", **chosen: float) -> list[tuple[str, str]]:
        search = SearchSettings(int(chosen.pop("k", 10)))
        wanted = weights_from(shelf, embedded(texts, encoder, mark), search, WeightSettings(**chosen), 1)
        return [(each.state, each.reason) for each in statuses(shelf, wanted)]

    assert found() == [("missing", "not computed yet")] * 3
    computed(tmp_path, texts, encoder)
    assert found() == [("fresh", "")] * 3
    assert found(alpha=2) == [("fresh", ""), ("fresh", ""), ("stale", "alpha changed")]
    assert [state for state, _ in found(k=3)] == ["fresh", "stale", "stale"]
    changed = found(mark="another adapter")
    assert [state for state, _ in changed] == ["stale"] * 3
    assert changed[0][1] == "encoder changed"


def test_a_damaged_file_is_named_and_repaired(tmp_path: Path) -> None:
    texts, encoder = drawn(40)
    whole = np.array(computed(tmp_path, texts, encoder).weights)
    path = (tmp_path / "density_weights.npy").resolve()
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorruptArtifactError, match=r"density_weights.npy: \d+ bytes, expected \d+"):
        open_density(tmp_path)
    watch = Unwatched()
    np.testing.assert_array_equal(computed(tmp_path, texts, encoder, watch=watch).weights, whole)
    assert watch.stages == ["density_weights"]
    assert watch.reasons[0].startswith("density_weights.npy: ")


class StopsAfter(MadeEncoder):
    """Fails at its n-th call, as a killed process ends."""

    def __init__(self, encoder: MadeEncoder, n_calls: int) -> None:
        super().__init__(encoder._vectors)
        self._left = n_calls

    def encode(self, texts, token_budget=None, batch_size=None, advance=None) -> np.ndarray:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return super().encode(texts, token_budget, batch_size, advance)


def test_a_run_that_ended_early_encodes_only_what_it_had_not_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(encoding, "TEXTS_PER_SHARD", 16)
    texts, encoder = drawn(100, n_distinct=90)
    whole = computed(tmp_path / "whole", texts, encoder)
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path / "cut", texts, StopsAfter(encoder, 2))
    with pytest.raises(ArtifactMissingError, match="no density weights"):
        open_density(tmp_path / "cut")
    encoder.n_encoded = 0
    found = computed(tmp_path / "cut", texts, encoder)
    assert encoder.n_encoded == len(set(texts)) - 2 * 16
    assert found.weights_directory.name == whole.weights_directory.name
    for name in ("embeddings.npy", "density_weights.npy", "prompts_list.json", "embeddings_metadata.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_weights_of_older_vectors_are_not_opened(tmp_path: Path) -> None:
    texts, encoder = drawn(40)
    computed(tmp_path, texts, encoder)
    shelf = Shelf(tmp_path)
    from precompute.pipeline.stages import bring_up_to_date

    bring_up_to_date(shelf, embedded(texts[:20], encoder), Unwatched())
    with pytest.raises(ArtifactMissingError, match="prompt_graph of other inputs than prompt_embeddings"):
        open_density(tmp_path)

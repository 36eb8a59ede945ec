"""Step `examples`: the strongest are the strongest, bands hold what they say, near misses are near."""

import numpy as np
import polars as pl
import pytest

from precompute.features import examples as step
from precompute.features import near_misses
from tests.builders import SILENT, dense_matrix, random_subject
from tests.stores.store_contract import tree

SMALL = {"n_top_examples": 6, "n_bands": 3, "n_band_examples": 2, "n_near_misses": 4}


def table_of(subject, out, settings=None, **operations) -> pl.DataFrame:
    step.run(subject.context(out, SMALL if settings is None else settings, **operations))
    return pl.read_parquet(out / "examples.parquet")


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return random_subject(tmp_path_factory.mktemp("subject"), n_examples=60, seed=4, examples_per_shard=16)


@pytest.fixture(scope="module")
def table(subject, tmp_path_factory):
    return table_of(subject, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def text_of_example(subject):
    same = subject.corpus.duplicate_of()
    return np.array([same[window.text_index] for window in subject.corpus.windows])


@pytest.fixture(scope="module")
def example_of_row(subject):
    return np.concatenate([shard.example for shard in subject.rows.shards()])


def entries(table, feature, band) -> pl.DataFrame:
    return table.filter((pl.col("feature") == feature) & (pl.col("band") == band))


def test_the_top_band_holds_the_strongest_row_of_each_text(subject, table, text_of_example, example_of_row):
    dense = dense_matrix(subject.rows)
    for feature in range(subject.rows.d_sae):
        best, texts = [], set()
        for row in sorted(np.flatnonzero(dense[:, feature]), key=lambda r: (-dense[r, feature], r)):
            text = text_of_example[example_of_row[row]]
            if text not in texts and len(best) < SMALL["n_top_examples"]:
                texts.add(text)
                best.append(row)
        found = entries(table, feature, "top")
        assert found["row"].to_list() == best
        assert found["rank"].to_list() == list(range(len(best)))
        np.testing.assert_array_equal(found["activation"], dense[best, feature])


def test_every_entry_lies_where_it_says(subject, table, example_of_row):
    dense = dense_matrix(subject.rows)
    for entry in table.filter(pl.col("band") != "miss").iter_rows(named=True):
        located = subject.rows.locate(np.array([entry["row"]]))
        assert (entry["example"], entry["position"]) == (located.example[0], located.position[0])
        assert entry["activation"] == dense[entry["row"], entry["feature"]] != 0


def in_band(values: np.ndarray, band: str) -> np.ndarray:
    """Which of a feature's non-zero activations belong to a band, in the obvious way."""
    kind, number, n = band[0], int(band[1:]), SMALL["n_bands"]
    if kind == "q":
        edges = [-np.inf, *(np.quantile(values, i / n) for i in range(1, n)), np.inf]
    else:
        edges = [values.max() * (i / n) for i in range(n + 1)]
    return (values > edges[number - 1]) & (values <= edges[number])


@pytest.mark.parametrize("band", ["q1", "q2", "q3", "v1", "v2", "v3"])
def test_a_band_is_filled_from_its_own_activations_one_a_text(
    subject, table, text_of_example, example_of_row, band
):
    dense = dense_matrix(subject.rows)
    for feature in range(subject.rows.d_sae):
        found = entries(table, feature, band)
        rows = np.flatnonzero(dense[:, feature])
        if not len(rows):
            assert not found.height
            continue
        members = rows[in_band(dense[rows, feature], band)]
        texts = text_of_example[example_of_row[members]]
        assert set(found["row"]) <= set(members)
        assert found.height == min(SMALL["n_band_examples"], len(set(texts)))
        assert len(set(text_of_example[found["example"].to_numpy()])) == found.height
        assert found["activation"].to_list() == sorted(found["activation"], reverse=True)


def test_near_misses_are_the_silent_examples_most_like_the_top_ones(
    subject, table, text_of_example, example_of_row
):
    means = np.concatenate([shard.example_means for shard in subject.rows.shards()]).astype(np.float64)
    dense, norms = dense_matrix(subject.rows), np.linalg.norm(means, axis=1)
    for feature in range(subject.rows.d_sae):
        found = entries(table, feature, "miss")
        top = entries(table, feature, "top")["example"].to_numpy()
        if not len(top):
            assert not found.height
            continue
        query = means[top].mean(axis=0)
        cosine = means @ query / np.where(norms, norms, 1) / np.linalg.norm(query)
        firing = set(example_of_row[dense[:, feature] != 0])
        silent = [e for e in range(len(means)) if e not in firing and norms[e]]
        best: dict[int, float] = {}
        for example in silent:
            text = int(text_of_example[example])
            best[text] = max(best.get(text, -2), cosine[example])
        expected = sorted(best.values(), reverse=True)[: SMALL["n_near_misses"]]
        np.testing.assert_allclose(cosine[found["example"].to_numpy()], expected, atol=1e-6)
        assert set(found["example"]) <= set(silent)
        assert found["row"].null_count() == found["position"].null_count() == found.height
        assert (found["activation"] == 0).all()


def test_a_silent_feature_has_no_examples(table):
    assert SILENT not in table["feature"]


def test_workers_and_backends_change_nothing_and_another_seed_draws_anew(tmp_path):
    trees = []
    for backend in ("npy", "zarr"):
        subject = random_subject(tmp_path / backend, backend, 30, examples_per_shard=7)
        for workers in (1, 2):
            out = tmp_path / f"{backend}{workers}"
            table_of(subject, out, workers=workers)
            trees.append(tree(out))
    assert all(found == trees[0] for found in trees)
    first = table_of(subject, tmp_path / "first")
    other = table_of(subject, tmp_path / "other", {**SMALL, "seed": 1})
    assert not first.equals(other)
    strongest = pl.col("band").is_in(["top", "miss"])
    assert first.filter(strongest).equals(other.filter(strongest))


def test_draws_do_not_depend_on_which_features_are_listed(subject, table, tmp_path):
    part = table_of(subject, tmp_path, {**SMALL, "features": (5, 9)})
    assert part.equals(table.filter(pl.col("feature").is_between(5, 8)))


def test_nothing_is_asked_for(subject, tmp_path):
    nothing = {"n_top_examples": 1, "n_bands": 1, "n_band_examples": 0, "n_near_misses": 0}
    table = table_of(subject, tmp_path / "a", nothing)
    assert set(table["band"]) == {"top"}
    empty = table_of(subject, tmp_path / "b", {"features": (500, 900)})
    assert empty.height == 0
    assert empty.schema == table.schema


def test_a_large_corpus_offers_a_drawn_part_as_near_misses(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(near_misses, "MAX_CANDIDATES", 10)
    table = table_of(subject, tmp_path)
    assert 1 <= table.filter(pl.col("band") == "miss")["example"].n_unique() <= 10

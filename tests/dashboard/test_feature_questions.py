"""The questions of the feature page against slow, obvious references."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.address import AddressError
from dashboard.queries import Queries
from dashboard.questions import pairs
from dashboard.questions.alike import N_TOKENS, alike
from dashboard.questions.clusters import cluster_members
from dashboard.questions.drawn import N_DRAWN, Conditions, Where, drawn_examples, equal_texts, where_of
from dashboard.questions.pairs import examples_and_positions, pair, usual_partner
from dashboard.questions.rows import Span, band_spans, span_of
from dashboard.questions.shares import column_shares, metadata_shares
from dashboard.questions.token_effects import effects_on, find_tokens, logit_effects, search_of
from dashboard.records import ShownExample
from precompute import open_artifacts
from tests.builders import DENSE, SILENT, dense_matrix
from tests.dashboard.made_artifacts import D_SAE, D_VOCAB, PlainArtifacts
from tests.tiny import TinyFiles

FEATURES = (SILENT, DENSE, 2, 5, 12)


@pytest.fixture(scope="module")
def dense(artifacts: PlainArtifacts) -> np.ndarray:
    """float64 [n_rows, d_sae]"""
    return dense_matrix(artifacts.row_store())


@pytest.fixture(scope="module")
def rows(artifacts: PlainArtifacts) -> pl.DataFrame:
    """What each row stands in: row, example, position, text_index, duplicate_of, package."""
    store = artifacts.row_store()
    places = store.locate(np.arange(store.n_rows))
    table = pl.DataFrame({"example": places.example, "position": places.position}).cast(pl.Int64)
    windows = artifacts.table("windows").select(pl.col("example", "text_index").cast(pl.Int64))
    corpus = artifacts.table("corpus").select(pl.col("text_index", "duplicate_of").cast(pl.Int64), "package")
    joined = table.with_row_index("row").join(windows, on="example", maintain_order="left")
    return joined.join(corpus, on="text_index", maintain_order="left")


# Ranges and bands.


@given(
    st.lists(st.floats(0.125, 100, width=32), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_bars_hold_what_numpy_counts(values: list[float], n_bins: int) -> None:
    acts = np.array(values, dtype=np.float32)
    counts, edges = np.histogram(acts.astype(np.float64), n_bins)
    held = [Span(a, b).holds(acts).sum() for a, b in pairwise(edges)]
    if len(np.unique(acts)) > 1:
        assert held == counts.tolist()


def test_examples_lie_in_the_bands_that_are_drawn(computed: TinyFiles) -> None:
    """The edges of the bands, of which the artifact has only the examples."""
    queries = Queries(open_artifacts("mine", computed.root / "data", computed.config))
    table = queries.artifacts.table("examples")
    n_checked: Counter[str] = Counter()
    for feature in range(queries.d_sae()):
        for name, span in band_spans(queries, feature).items():
            acts = table.filter(feature=feature, band=name)["activation"].to_numpy()
            assert span.holds(acts).all(), (feature, name, span, acts)
            n_checked[name] += len(acts)
        acts = queries.activations(feature).acts
        for group in "qv":
            held = [
                span.holds(acts) for name, span in band_spans(queries, feature).items() if name[0] == group
            ]
            assert (np.sum(held, axis=0) == 1).all(), "every activation lies in one band of each kind"
    assert min(n_checked.values()) > 0


@pytest.mark.parametrize("text", ["1:2", "0.5:0.5", ".5:1e3", " 1 : 2 ", "-1:2"])
def test_ranges_are_read(text: str) -> None:
    found = span_of(text)
    assert found is not None
    assert found.low <= found.high
    assert span_of(f"{found.low!r}:{found.high!r}") == found


@pytest.mark.parametrize(
    "value", ["2:1", "1", "nan:1", "1:inf", "1:2:3", 5, ["1:2"], "1:1e999", "9" * 99 + ":1"]
)
def test_other_ranges_are_refused(value: object) -> None:
    with pytest.raises(AddressError, match="two activations"):
        span_of(value)


# Examples under conditions.


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("package", [None, "package1"])
def test_a_range_draws_one_a_text(
    queries: Queries, dense: np.ndarray, rows: pl.DataFrame, feature: int, package: str | None
) -> None:
    acts = dense[:, feature]
    low, high = 0.3 * acts.max(), 0.8 * acts.max()
    where = None if package is None else Where("package", package)
    found = drawn_examples(queries, feature, Conditions("top", Span(low, high), where))
    meets = (acts > 0) & (acts >= low) & (acts < high)
    if package:
        meets &= (rows["package"] == package).to_numpy()
    of_texts = rows.filter(meets)
    assert found.n_rows == of_texts.height
    assert found.n_texts == of_texts["duplicate_of"].n_unique()
    assert len(found.examples) == min(N_DRAWN, found.n_texts)
    true = {(e, p): acts[r] for r, e, p in of_texts.select("row", "example", "position").iter_rows()}
    for example in found.examples:
        assert example.activation == pytest.approx(true[example.example, example.position])
    shown = [example.activation for example in found.examples]
    assert shown == sorted(shown, reverse=True)
    groups = dict(rows.select("text_index", "duplicate_of").iter_rows())
    assert len({groups[example.text_index] for example in found.examples}) == len(found.examples)
    again = drawn_examples(queries, feature, Conditions("top", Span(low, high), where))
    assert [e.example for e in again.examples] == [e.example for e in found.examples]


@pytest.mark.parametrize("feature", FEATURES)
def test_the_strongest_of_some_texts(
    queries: Queries, dense: np.ndarray, rows: pl.DataFrame, feature: int
) -> None:
    found = drawn_examples(queries, feature, Conditions("top", None, Where("package", "package2")))
    table = rows.with_columns(act=dense[:, feature]).filter(pl.col("act") > 0, package="package2")
    best = table.group_by("duplicate_of").agg(pl.col("act").max())["act"].sort(descending=True)
    assert [e.activation for e in found.examples] == pytest.approx(best.head(N_DRAWN).to_list())
    assert not found.is_drawn
    assert {e.metadata["package"] for e in found.examples} <= {"package2"}


def test_one_example_by_its_number(queries: Queries, dense: np.ndarray, rows: pl.DataFrame) -> None:
    for feature in FEATURES:
        for example in range(0, 40, 7):
            found = drawn_examples(queries, feature, Conditions("q1", None, Where("example", str(example))))
            (shown,) = found.examples
            own = dense[(rows["example"] == example).to_numpy(), feature]
            assert shown.example == example
            assert shown.activation == pytest.approx(own.max(initial=0))
            assert (shown.position is None) == (not own.any())
            assert found.n_rows == (own > 0).sum()


def test_near_misses_of_some_texts(queries: Queries, artifacts: PlainArtifacts, rows: pl.DataFrame) -> None:
    package = dict(rows.select("example", "package").iter_rows())
    for feature in FEATURES:
        listed = artifacts.table("examples").filter(feature=feature, band="miss")["example"].to_list()
        for name in ("package0", "package1", "package2"):
            found = drawn_examples(queries, feature, Conditions("miss", None, Where("package", name)))
            assert [e.example for e in found.examples] == [e for e in listed if package[e] == name]


@pytest.mark.parametrize(
    "value",
    ["package", "package:", "nope:1", ":", 3, ["package:a"], "example:-1", "example:99999", "example:x"],
)
def test_conditions_that_cannot_be_met_are_refused(queries: Queries, value: object) -> None:
    with pytest.raises(AddressError, match="expected"):
        where_of(queries, value)


def test_equal_texts_are_told(queries: Queries, artifacts: PlainArtifacts) -> None:
    corpus = artifacts.table("corpus")
    copies = corpus.filter(pl.len().over("duplicate_of") > 1).sort("text_index")
    text = copies["text_index"][0]
    same = copies.filter(duplicate_of=copies["duplicate_of"][0])
    expected = [f"{package} · text {i:,}" for i, package in same.select("text_index", "package").iter_rows()]
    assert equal_texts(queries, text) == expected
    assert equal_texts(queries, text, most=1)[-1] == f"and {len(expected) - 1} more text" + "s" * (
        len(expected) > 2
    )


def shown(token_ids: list[int], position: int | None) -> ShownExample:
    acts = np.zeros(len(token_ids), dtype=np.float32)
    text = tuple(str(i) for i in token_ids)
    return ShownExample(0, 0, 0, "", 0, position, 1.0, tuple(token_ids), text, acts, {}, 1)


@given(st.lists(st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=12), st.integers(0, 11))))
def test_examples_that_read_alike(drawn: list[tuple[list[int], int]]) -> None:
    examples = [shown(ids, at if at < len(ids) else None) for ids, at in drawn]
    groups = alike(examples)
    assert sorted(map(id, (e for group in groups for e in group))) == sorted(map(id, examples))
    places = {id(example): place for place, example in enumerate(examples)}
    firsts = [places[id(group[0])] for group in groups]
    assert firsts == sorted(firsts)

    def words(example: ShownExample) -> tuple[int, ...] | None:
        end = example.position
        return None if end is None else example.token_ids[: end + 1][-N_TOKENS:]

    for group in groups:
        assert len({words(example) for example in group}) == 1
    keys = [words(group[0]) for group in groups if words(group[0]) is not None]
    assert len(set(keys)) == len(keys)
    assert all(len(group) == 1 for group in groups if words(group[0]) is None)


# Kinds of text.


@pytest.mark.parametrize("feature", FEATURES)
def test_metadata_shares(queries: Queries, dense: np.ndarray, rows: pl.DataFrame, feature: int) -> None:
    found = metadata_shares(queries, feature)
    (column,) = found.columns
    fired = rows.filter(dense[:, feature] != 0)
    counts = Counter(fired["package"].to_list())
    assert {value.value: value.n_rows for value in column.values} == dict(counts)
    for value in column.values:
        of_value = fired.filter(package=value.value)
        corpus = rows.filter(package=value.value).height / rows.height
        assert value.share == pytest.approx(of_value.height / fired.height)
        assert value.corpus_share == pytest.approx(corpus)
        assert value.lift == pytest.approx(value.share / corpus)
        assert value.n_texts == of_value["text_index"].n_unique()
        assert value.low <= value.share <= value.high


def test_the_interval_is_that_of_a_ratio_over_texts() -> None:
    rng = np.random.default_rng(0)
    fired, corpus = rng.integers(0, 6, 80), rng.integers(6, 9, 80)
    values = [str(v) for v in rng.integers(0, 3, 80)]
    found = {v.value: v for v in column_shares(pl.Series(values), fired, corpus)}
    active = [(x, v) for x, v in zip(fired.tolist(), values, strict=True) if x]
    total, m = sum(x for x, _ in active), len(active)
    for value, of_value in found.items():
        p = sum(x for x, v in active if v == value) / total
        residuals = [x * (v == value) - p * x for x, v in active]
        error = np.sqrt(m / (m - 1) * sum(r * r for r in residuals)) / total
        assert of_value.low == pytest.approx(max(0, p - 1.959964 * error))
        assert of_value.high == pytest.approx(min(1, p + 1.959964 * error))


def test_texts_without_the_value_do_not_count() -> None:
    (only,) = column_shares(pl.Series(["a", None]), np.array([3, 4]), np.array([5, 5]))
    assert (only.value, only.n_rows, only.share, only.corpus_share) == ("a", 3, 1.0, 1.0)
    assert np.isnan(only.low)


# Two features.


@pytest.mark.parametrize(("first", "second"), [(1, 5), (5, 12), (SILENT, 5), (2, 1), (7, 7)])
def test_a_pair(queries: Queries, dense: np.ndarray, rows: pl.DataFrame, first: int, second: int) -> None:
    found, x, y = pair(queries, first, second), dense[:, first], dense[:, second]
    both, either = ((x != 0) & (y != 0)).sum(), ((x != 0) | (y != 0)).sum()
    assert (found.n_both, found.n_either, found.n_rows) == (both, either, len(x))
    assert found.seed is None
    assert found.rows.tolist() == np.flatnonzero((x != 0) | (y != 0)).tolist()
    assert found.first == pytest.approx(x[found.rows])
    assert found.second == pytest.approx(y[found.rows])
    assert found.jaccard == pytest.approx(both / either)
    if x.std() > 0 and y.std() > 0:
        assert found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    else:
        assert np.isnan(found.pearson)
    if x.any() and y.any():
        assert found.lift == pytest.approx(both * len(x) / ((x != 0).sum() * (y != 0).sum()))
    places = rows.filter(pl.col("row").is_in(found.rows.tolist())).select("example", "position")
    assert examples_and_positions(queries, found.rows) == list(places.iter_rows())


def test_many_rows_are_sampled_and_the_numbers_are_not(
    queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pair(queries, 1, 5)
    monkeypatch.setattr(pairs, "MOST_POINTS", 10)
    found = pair(queries, 1, 5)
    assert len(found.rows) == 10
    assert found.seed is not None
    assert set(found.rows.tolist()) < set(whole.rows.tolist())
    assert (found.n_either, found.jaccard, found.pearson) == (whole.n_either, whole.jaccard, whole.pearson)
    assert found.rows.tolist() == pair(queries, 1, 5).rows.tolist()


def test_the_usual_partner(queries: Queries, artifacts: PlainArtifacts) -> None:
    together = artifacts.table("coactivations").filter(feature=5, rank=0)["other"][0]
    nearest = artifacts.table("neighbors").filter(feature=SILENT, rank=0)["neighbor"][0]
    assert usual_partner(queries, 5) == together
    assert usual_partner(queries, SILENT) == nearest


def test_members_of_a_cluster(queries: Queries, artifacts: PlainArtifacts) -> None:
    table = {row["feature"]: row for row in artifacts.table("feature_map").iter_rows(named=True)}
    for feature in range(D_SAE):
        found, own = cluster_members(queries, feature), table[feature]
        if own["cluster"] < 0:
            assert found is None
            continue
        assert found is not None
        others = [f for f, row in table.items() if row["cluster"] == own["cluster"] and f != feature]
        distance = {f: np.hypot(table[f]["x"] - own["x"], table[f]["y"] - own["y"]) for f in others}
        assert found.members == sorted(others, key=lambda f: distance[f])
        assert found.distances == pytest.approx([distance[f] for f in found.members])


# Effects on tokens.


def reference(artifacts: PlainArtifacts, feature: int) -> np.ndarray:
    directions = np.load(artifacts.directory / "directions.npy").astype(np.float64)
    return directions[feature] @ np.load(artifacts.directory / "unembed.npy").astype(np.float64)


def test_effects_on_every_token(queries: Queries, artifacts: PlainArtifacts) -> None:
    for feature in (3, 8):
        expected = reference(artifacts, feature)
        assert logit_effects(queries, feature) == pytest.approx(expected, abs=1e-5)
        promoted = artifacts.table("influences").filter(feature=feature, direction="promotes")
        for token_id, influence in promoted.select("token_id", "influence").iter_rows():
            found = find_tokens(queries, feature, f"#{token_id}").shown[0]
            assert found.effect == pytest.approx(influence, rel=1e-5)
        words = effects_on(queries, feature, [0, 7, D_VOCAB + 5])
        assert list(words) == ["0", "7"]
        assert words["7"][1] == pytest.approx(expected[7], abs=1e-5)


def test_ranks_count_from_the_most_promoted(queries: Queries, artifacts: PlainArtifacts) -> None:
    expected = reference(artifacts, 4)
    order = np.argsort(-expected).tolist()
    for token_id in range(D_VOCAB):
        (found,) = find_tokens(queries, 4, f"#{token_id}").shown
        assert found.rank == 1 + order.index(token_id)


def test_a_search_finds_text_label_and_nothing_else(queries: Queries) -> None:
    tokens = queries.vocabulary()
    found = find_tokens(queries, 4, "WORD1")
    assert found.n_found == sum("word1" in token for token in tokens)
    assert [abs(t.effect) for t in found.shown] == sorted([abs(t.effect) for t in found.shown], reverse=True)
    assert find_tokens(queries, 4, " word12").shown[0].token == " word12"
    assert find_tokens(queries, 4, "␣word12").shown[0].token == " word12"
    assert find_tokens(queries, 4, "&lt;").shown[0].token == "&lt;"
    assert find_tokens(queries, 4, "no such token").n_found == 0
    assert find_tokens(queries, 4, "#999999").n_found == 0
    assert search_of(None) == ""
    for odd in (5, ["a"], "x" * 10_000):
        with pytest.raises(AddressError):
            search_of(odd)


# Order.


def test_rows_come_by_rank_however_they_are_stored(artifacts: PlainArtifacts, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    table = artifacts.table("coactivations").sample(fraction=1, shuffle=True, seed=1)
    table.write_parquet(own / "coactivations.parquet")

    class Shuffled(PlainArtifacts):
        def path(self, output: str) -> Path:
            return own / output if output == "coactivations.parquet" else super().path(output)

    found = Queries(Shuffled(artifacts.subject))
    by_feature = defaultdict(list)
    for feature, rank in artifacts.table("coactivations").select("feature", "rank").iter_rows():
        by_feature[feature].append(rank)
    for feature, ranks in by_feature.items():
        assert found.rows_of("coactivations", feature)["rank"].to_list() == sorted(ranks)

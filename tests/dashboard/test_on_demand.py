"""What the page of a feature computes when it is asked for, against slow, obvious references in NumPy."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dash import Dash
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.address import AddressError
from dashboard.app import create_app
from dashboard.queries import Queries
from dashboard.questions import together as counting
from dashboard.questions.bins import Bins, binned, bins_of
from dashboard.questions.drawn import Conditions, drawn_examples
from dashboard.questions.rows import Span, span_of
from dashboard.questions.together import ORDERS, ROWS_FOR_LIFT, together
from dashboard.questions.token_effects import all_effects, find_tokens
from dashboard.token_view import label
from precompute import open_artifacts
from precompute.progress import Silent as NoProgress
from precompute.stores.convert import convert
from tests.builders import CONSTANT, DENSE, SILENT, dense_matrix, random_subject
from tests.dashboard.made_artifacts import D_SAE, PlainArtifacts, plain_artifacts
from tests.dashboard.test_app import SETTINGS, call, page
from tests.tiny import TinyFiles

ROWS = "histogram-content.children"
FORGED = [3, [], {"a": 1}, -1, True, "9" * 5000, "\x00", "1:1", "501", "1", "1.5", "٣"]


@pytest.fixture(scope="module")
def dense(artifacts: PlainArtifacts) -> np.ndarray:
    """float64 [n_rows, d_sae]"""
    return dense_matrix(artifacts.row_store())


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


# Histograms.


@settings(max_examples=150, deadline=None)
@given(
    feature=st.integers(1, D_SAE - 1),
    n_bins=st.one_of(st.none(), st.integers(2, 500)),
    ends=st.one_of(st.none(), st.tuples(st.floats(-2, 3), st.floats(0.01, 5))),
    with_zero=st.booleans(),
)
def test_bins_of_ones_own_are_those_of_numpy(
    queries: Queries,
    dense: np.ndarray,
    feature: int,
    n_bins: int | None,
    ends: tuple[float, float] | None,
    with_zero: bool,
) -> None:
    """Over all values, zeros included where they are chosen; nothing is lost without a word."""
    span = None if ends is None else Span(ends[0], ends[0] + ends[1])
    bins = Bins(n_bins, span)
    column = dense[:, feature]
    found = binned(queries, feature, bins, with_zero)
    if not bins.are_own:
        assert found.histogram.counts.tolist() == queries.histogram(feature).counts.tolist()
        return
    n = n_bins or len(queries.histogram(feature).counts)
    values = column if with_zero else column[column != 0]
    counts, edges = np.histogram(values, n, None if span is None else (span.low, span.high))
    shown = found.histogram.counts.copy()
    if found.histogram.zero_bin is not None:
        shown[found.histogram.zero_bin] += found.histogram.n_zero
    assert shown.tolist() == counts.tolist()
    np.testing.assert_allclose(found.histogram.bin_edges, edges, rtol=1e-15, atol=0)
    outside = found.n_below + found.n_above + found.zeros_left_out * int((column == 0).sum())
    assert counts.sum() + outside == len(values)


@pytest.mark.parametrize("feature", [DENSE, CONSTANT, 2, 7])
def test_a_bar_and_the_examples_that_it_leads_to_are_the_same_rows(
    queries: Queries, app: Dash, dense: np.ndarray, feature: int
) -> None:
    """Also where the range ends at an activation: a histogram's last bin holds its end, others do not."""
    acts = np.sort(dense[:, feature][dense[:, feature] != 0])
    low, high = float(acts[0]), float(acts[2 * len(acts) // 3])
    high = high if high > low else low + 1
    inputs = own_view(bins="7", over=f"{low!r}:{high!r}")
    bars = figure_of(app, feature, inputs)["data"][0]
    for (_, _, clicked), n_rows in zip(bars["customdata"], bars["y"], strict=True):
        span = span_of(clicked)
        assert span is not None
        assert drawn_examples(queries, feature, Conditions("top", span, None)).n_rows == n_rows
    assert sum(bars["y"]) == int(((acts >= low) & (acts <= high)).sum())


def own_view(**chosen: object) -> dict[str, object]:
    """The fields of the histogram, as a browser sends them."""
    standard = {"rows": "nonzero", "scale": "linear", "bins": "", "range": chosen.pop("over", "")} | chosen
    return {**{f"histogram-{name}.value": value for name, value in standard.items()}, "range.data": ""}


def redrawn(app: Dash, feature: object, inputs: dict[str, object]) -> str:
    answer = call(app, ROWS, inputs, {"feature-number.data": feature})
    assert answer.status_code == 200
    return json.dumps(answer.json, ensure_ascii=False)


def figure_of(app: Dash, feature: int, inputs: dict[str, object]) -> dict[str, list[dict[str, list[object]]]]:
    answer = call(app, ROWS, inputs, {"feature-number.data": feature})
    frame = answer.json["response"]["histogram-content"]["children"][0]
    found: dict[str, list[dict[str, list[object]]]] = frame["props"]["children"][0]["props"]["figure"]
    return found


@pytest.mark.parametrize("rows", ["nonzero", "all"])
def test_an_address_gives_the_same_as_the_fields(app: Dash, rows: str) -> None:
    shown = page(app, "/feature/5", f"?bins=9&over=0:1.25&rows={rows}&scale=log")
    by_hand = redrawn(app, 5, own_view(bins="9", over="0:1.25", rows=rows, scale="log"))
    captions = re.findall(r"[\d,]+ rows on which it fires in 9 bins from 0 to 1\.25; [^\"]*", by_hand)
    caption = max(captions, key=len)
    assert caption in shown
    assert "rows above" in caption
    assert ("silent rows besides" in caption) == (rows == "all")


@pytest.mark.parametrize("value", FORGED)
def test_odd_bins_and_ranges_get_a_sentence(app: Dash, value: object) -> None:
    for name in ("bins", "over"):
        assert "expected" in redrawn(app, 5, own_view(**{name: value})), name
    if isinstance(value, str) and len(value) < 100:
        assert "expected" in page(app, "/feature/5", f"?bins={value}")


def test_a_range_too_narrow_to_be_divided_is_refused(queries: Queries) -> None:
    with pytest.raises(AddressError, match="widen"):
        binned(queries, 5, Bins(500, Span(1.0, float(np.nextafter(1.0, 2)))), with_zero=False)
    with pytest.raises(AddressError, match="differ"):
        bins_of(None, "-1e308:1e308")


def test_a_feature_that_never_fires_has_no_bins(queries: Queries, app: Dash) -> None:
    assert not len(binned(queries, SILENT, Bins(20), with_zero=True).histogram.counts)
    assert "never fires" in page(app, f"/feature/{SILENT}", "?bins=20&over=0:1&rows=all")
    redrawn(app, SILENT, own_view(bins="20", over="0:1", rows="all"))


# Features that fire on the same rows.


@pytest.fixture(scope="module", params=["npy", "zarr"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Queries:
    """Several shards, in both formats."""
    directory = tmp_path_factory.mktemp("stored")
    random_subject(directory, n_examples=120, d_sae=D_SAE, seed=4, examples_per_shard=32)
    if request.param == "zarr":
        for name in ("activations", "feature_major"):
            (directory / name).rename(directory / f"{name}-npy")
            convert(directory / f"{name}-npy", directory / name, "zarr", 1, NoProgress())
    return Queries(plain_artifacts(directory))


@pytest.fixture(scope="module")
def brute() -> dict[str, np.ndarray]:
    """Filled from the dense matrix once, since the rows are the same in both formats."""
    return {}


def measures(dense: np.ndarray, feature: int) -> dict[str, np.ndarray]:
    """n_both, Jaccard, Pearson and lift of a feature with all, in float64; NaN where one never varies."""
    fires = dense != 0
    both = (fires & fires[:, [feature]]).sum(axis=0)
    n = fires.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = dense - dense.mean(axis=0)
        std = np.sqrt((centred**2).mean(axis=0))
        varies = std > 1e-9 * np.abs(dense).max(axis=0)
        pearson = (centred * centred[:, [feature]]).mean(axis=0) / (std * std[feature])
        pearson = np.where(varies & varies[feature], pearson, np.nan)
        jaccard, lift = both / (n + n[feature] - both), both * len(dense) / (n * n[feature])
    return {"rows": both, "jaccard": jaccard, "pearson": pearson, "lift": lift}


@pytest.mark.parametrize("kept", [True, False])
def test_all_rows_are_counted(
    stored: Queries, brute: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept:
        monkeypatch.setattr(counting, "BYTES_KEPT", 0)
    store = stored.artifacts.row_store()
    assert store.n_shards > 1
    dense = brute.setdefault("dense", dense_matrix(store) if store.info.backend == "npy" else np.zeros(0))
    for feature in range(D_SAE):
        expected, found = measures(dense, feature), together(stored, feature)
        others = np.flatnonzero(expected["rows"])
        assert found.others.tolist() == others[others != feature].tolist()
        assert found.n_active == int((dense[:, feature] != 0).sum())
        assert found.n_both.tolist() == expected["rows"][found.others].tolist()
        for name in ("jaccard", "pearson", "lift"):
            np.testing.assert_allclose(
                getattr(found, name), expected[name][found.others], rtol=1e-9, atol=1e-12, err_msg=name
            )


def test_lists_are_in_the_order_that_is_asked_for(stored: Queries) -> None:
    for feature in (DENSE, 5, 12):
        found = together(stored, feature)
        for order in ORDERS:
            places = found.places(order)
            values = {"rows": found.n_both}.get(order, getattr(found, order, found.n_both))[places]
            listed = values[~np.isnan(values.astype(float))]
            assert (np.diff(listed) <= 0).all(), order
            assert len(places) == min(
                counting.N_LISTED, (found.n_both >= (ROWS_FOR_LIFT if order == "lift" else 1)).sum()
            )
    assert len(together(stored, SILENT).others) == 0


def test_the_artifact_lists_the_first_of_all(computed: TinyFiles) -> None:
    mine = Queries(open_artifacts("mine", computed.root / "data", computed.config))
    table = mine.artifacts.table("coactivations")
    for feature in range(mine.d_sae()):
        found, listed = together(mine, feature), table.filter(feature=feature).sort("rank")
        first = found.places("jaccard")[: listed.height]
        assert listed["other"].to_list() == found.others[first].tolist()
        assert listed["n_both"].to_list() == found.n_both[first].tolist()
        for name in ("jaccard", "pearson", "lift"):
            expected = listed[name].fill_null(np.nan).to_numpy()
            np.testing.assert_allclose(getattr(found, name)[first], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_the_page_lists_what_is_counted(app: Dash, queries: Queries, order: str) -> None:
    shown = same_rows(app, 5, order)
    found = together(queries, 5)
    listed = [int(n) for n in re.findall(r'"href": "[^"]*/feature/(\d+)"', shown)]
    assert listed == found.others[found.places(order)].tolist()
    assert f"Counted now over all {found.n_rows:,} rows" in shown
    waits = page(app, "/feature/5", f"?together={order}")
    assert "Counting…" in waits, "the page does not wait for the count"


def same_rows(app: Dash, feature: object, order: object) -> str:
    answer = call(app, "coactivations.children", {"together.value": order}, {"feature-number.data": feature})
    assert answer.status_code == 200
    return json.dumps(answer.json, ensure_ascii=False)


@pytest.mark.parametrize("value", ["nope", 3, [], {"a": 1}, "", "__class__"])
def test_odd_lists_get_a_sentence(app: Dash, value: object) -> None:
    assert "expected" in same_rows(app, 5, value)
    assert "expected" in same_rows(app, value, "jaccard") or value == 3
    if isinstance(value, str):
        assert "expected" in page(app, "/feature/5", f"?together={value}")


def test_without_the_stores_only_the_list_says_so(artifacts: PlainArtifacts, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in artifacts.directory.iterdir():
        if path.name != "feature_major":
            (own / path.name).symlink_to(path)
    app = create_app(SETTINGS, plain_artifacts(own))
    assert "ranspose is not computed" in same_rows(app, 5, "lift")
    assert "ranspose is not computed" in redrawn(app, 5, own_view(bins="9"))
    assert "Co-activating features" in same_rows(app, 5, "listed")


# The effect on the whole vocabulary.


@pytest.mark.parametrize("feature", [SILENT, 5, D_SAE - 1])
def test_the_file_of_effects_is_the_product(app: Dash, artifacts: PlainArtifacts, feature: int) -> None:
    answer = app.server.test_client().get(f"/feature/{feature}/effects.csv")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    directions = np.load(artifacts.directory / "directions.npy").astype(np.float64)
    effects = directions[feature] @ np.load(artifacts.directory / "unembed.npy").astype(np.float64)
    assert [int(row["token_id"]) for row in rows] == list(range(len(effects)))
    given_effects = np.array([np.float32(row["logits_per_unit"]) for row in rows])
    np.testing.assert_allclose(given_effects, effects, rtol=1e-5, atol=1e-6)
    assert [int(row["rank"]) for row in rows] == [1 + int((given_effects > e).sum()) for e in given_effects]
    tokens = artifacts.table("vocabulary").sort("token_id")["token"]
    assert [row["token"].removeprefix("'") for row in rows] == [
        label(token).removeprefix("'") for token in tokens
    ]


def test_value_and_rank_of_any_token_are_those_of_the_file(queries: Queries) -> None:
    table = all_effects(queries, 5)
    for token_id in range(table.height):
        (found,) = find_tokens(queries, 5, f"#{token_id}").shown
        row = table.row(token_id, named=True)
        assert (found.effect, found.rank) == (pytest.approx(row["logits_per_unit"]), row["rank"])


def test_the_histogram_of_effects_counts_the_whole_vocabulary(queries: Queries) -> None:
    for feature in range(D_SAE):
        effects = all_effects(queries, feature)["logits_per_unit"].to_numpy().astype(np.float64)
        found = queries.logit_histogram(feature)
        inside = np.histogram(effects, found.bin_edges)[0]
        assert found.counts.sum() == len(effects)
        assert np.abs(inside - found.counts).sum() <= 4, "only a value at an edge may change its bin"


@pytest.mark.parametrize("number", ["-1", "99999", "x", "1.5", "9" * 300])
def test_there_is_no_file_of_a_feature_that_is_not_there(app: Dash, number: str) -> None:
    answer = app.server.test_client().get(f"/feature/{number}/effects.csv")
    assert answer.status_code == 404
    assert answer.get_data(as_text=True).startswith("lightwell: ")


def test_the_page_leads_to_the_file(app: Dash) -> None:
    assert "/feature/5/effects.csv" in page(app, "/feature/5")
    assert pl.read_csv(app.server.test_client().get("/feature/5/effects.csv").get_data()).columns == [
        "token_id",
        "token",
        "logits_per_unit",
        "rank",
    ]

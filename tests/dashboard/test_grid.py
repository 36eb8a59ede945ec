"""Views of the feature table: checked strictly, spelled in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import address, grid
from dashboard.columns import COLUMNS
from dashboard.grid import Filter, Sort, View

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)
NUMBERS = st.integers(-(10**6), 10**6).map(float)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(COLUMNS))
    tests = grid.TEXT_TESTS if column.is_text else grid.NUMBER_TESTS
    test = draw(st.sampled_from(sorted(tests)))
    if test in grid.WITHOUT_VALUE:
        return Filter(column.name, test)
    if column.is_text:
        return Filter(column.name, test, draw(TEXT))
    return Filter(column.name, test, draw(NUMBERS), draw(NUMBERS) if test == "inRange" else None)


views = st.builds(
    View,
    sorts=st.lists(
        st.builds(Sort, st.sampled_from([c.name for c in COLUMNS]), st.booleans()), max_size=3
    ).map(tuple),
    filters=st.lists(filters(), max_size=3, unique_by=lambda f: f.column).map(tuple),
    search=TEXT,
)


@given(views)
def test_a_view_survives_its_address(view: View) -> None:
    written = address.with_parameters("/features", grid.parameters_of_view(view))
    path, _, query = written.partition("?")
    assert grid.view_of_address(address.parse(path, "?" + query)) == view


@given(views)
def test_a_view_survives_the_grid(view: View) -> None:
    sorts = [{"colId": s.column, "sort": "desc" if s.descending else "asc"} for s in view.sorts]
    request = {"sortModel": sorts, "filterModel": grid.filter_model(view)}
    assert grid.view_of_request(request, view.search) == view


@pytest.mark.parametrize(
    "request_",
    [
        {"sortModel": [{"colId": "nope", "sort": "asc"}]},
        {"sortModel": [{"colId": "max", "sort": "sideways"}]},
        {"sortModel": ["max"]},
        {"filterModel": {"nope": {"type": "equals", "filter": 1}}},
        {"filterModel": {"max": {"type": "eval", "filter": 1}}},
        {"filterModel": {"max": {"type": "equals", "filter": "one"}}},
        {"filterModel": {"max": {"type": "equals", "filter": "nan"}}},
        {"filterModel": {"max": {"type": "inRange", "filter": 1}}},
        {"filterModel": {"max": 3}},
        {"filterModel": [1]},
    ],
)
def test_forged_requests_are_refused(request_: object) -> None:
    with pytest.raises(address.AddressError):
        grid.view_of_request(request_, "")


@pytest.mark.parametrize(
    ("first", "stop"), [(-1, 10), (0, 10**9), ("0", 10), (True, 10), (10, 5), (None, None), (0.5, 3)]
)
def test_forged_row_ranges_are_refused(first: object, stop: object) -> None:
    with pytest.raises(address.AddressError):
        grid.rows_asked({"startRow": first, "endRow": stop})


@pytest.mark.parametrize("search", [1, ["a"], {}, "x" * 300])
def test_forged_searches_are_refused(search: object) -> None:
    with pytest.raises(address.AddressError):
        grid.view_of_request({}, search)


@pytest.mark.parametrize(
    "query",
    ["?sort=nope", "?sort=max:up", "?max=3", "?nope=equals:3", "?max=equals:x", "?max=equals:1&max=equals:2"],
)
def test_odd_addresses_are_refused(query: str) -> None:
    with pytest.raises(address.AddressError):
        grid.view_of_address(address.parse("/features", query))

"""What a person asks of the feature table: sorts, filters and a search, checked and then applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import polars as pl

from dashboard.address import Address, AddressError, one_of, shortened
from dashboard.columns import BY_NAME, COLUMNS, COLUMNS_PARAMETER

MOST_ROWS = 1000
"""Rows in one answer to the browser."""
LONGEST_SEARCH = 200
ROW = "row of the table"
"""A name that no column has."""

NUMBER_TESTS: Mapping[str, Callable[[pl.Expr, float, float], pl.Expr]] = MappingProxyType(
    {
        "equals": lambda c, v, _: c == v,
        "notEqual": lambda c, v, _: c != v,
        "lessThan": lambda c, v, _: c < v,
        "lessThanOrEqual": lambda c, v, _: c <= v,
        "greaterThan": lambda c, v, _: c > v,
        "greaterThanOrEqual": lambda c, v, _: c >= v,
        "inRange": lambda c, v, to: c.is_between(v, to),
        "blank": lambda c, _, __: c.is_null(),
        "notBlank": lambda c, _, __: c.is_not_null(),
    }
)
"""AG Grid's tests of a number, by its names for them."""
TEXT_TESTS: Mapping[str, Callable[[pl.Expr, str], pl.Expr]] = MappingProxyType(
    {
        "contains": lambda c, v: c.str.contains(v, literal=True),
        "notContains": lambda c, v: ~c.fill_null("").str.contains(v, literal=True),
        "equals": lambda c, v: c == v,
        "notEqual": lambda c, v: c.fill_null("") != v,
        "startsWith": lambda c, v: c.str.starts_with(v),
        "endsWith": lambda c, v: c.str.ends_with(v),
        "blank": lambda c, _: c.is_null(),
        "notBlank": lambda c, _: c.is_not_null(),
    }
)
"""AG Grid's tests of a text."""
WITHOUT_VALUE = ("blank", "notBlank")
SEARCHED = ("searchable", "promotes", "tfidf", "cluster", "label", "category", "notes")
"""Columns that a search looks into."""
SET_PARAMETER = "set"
"""The parameter of an address that names a feature set."""


@dataclass(frozen=True)
class Sort:
    """One column that rows are ordered by."""

    column: str
    descending: bool


@dataclass(frozen=True)
class Filter:
    """One test of one column."""

    column: str
    test: str
    value: str | float | None = None
    to: float | None = None
    """Upper end of a range."""


@dataclass(frozen=True)
class View:
    """Which features are shown, in which order; hashable, so that its answer can be remembered."""

    sorts: tuple[Sort, ...] = ()
    filters: tuple[Filter, ...] = ()
    search: str = ""
    members: str = ""
    """The name of a feature set; only its features are shown."""


def apply(table: pl.DataFrame, view: View, members: Sequence[int] | None = None) -> pl.DataFrame:
    """The rows of a feature table that a view shows, in its order; ties by feature, absent values last."""
    return table[order(table, view, members)]


def order(table: pl.DataFrame, view: View, members: Sequence[int] | None = None) -> pl.Series:
    """uint32: the numbers of the rows that a view shows, in its order; `members` are the features of its set.

    Only the columns that it asks about are touched, and only numbers are kept: many views of a wide table
    are remembered.
    """
    tests = [_expression(f) for f in view.filters if f.column in table.columns]
    if view.search:
        tests.append(_search(table, view.search))
    if members is not None:
        tests.append(pl.col("feature").is_in(pl.Series(members, dtype=table.schema["feature"]).implode()))
    sorts = [sort for sort in view.sorts if sort.column in table.columns]
    keys = [pl.col(name) for name in dict.fromkeys([*(sort.column for sort in sorts), "feature"])]
    found = table.lazy().with_row_index(ROW).filter(*tests).select(ROW, *keys)
    if sorts:
        by = [*(sort.column for sort in sorts), "feature"]
        descending = [*(sort.descending for sort in sorts), False]
        found = found.sort(by, descending=descending, nulls_last=True, maintain_order=True)
    return found.select(ROW).collect()[ROW]


def _expression(asked: Filter) -> pl.Expr:
    column = pl.col(asked.column)
    if BY_NAME[asked.column].is_text:
        return TEXT_TESTS[asked.test](column.str.to_lowercase(), str(asked.value or "").lower())
    value = float(asked.value or 0)
    return NUMBER_TESTS[asked.test](column, value, value if asked.to is None else asked.to)


def _search(table: pl.DataFrame, text: str) -> pl.Expr:
    """Features of that number, and those one of whose tokens or labels holds the text."""
    wanted = text.lower()
    texts = [c for c in SEARCHED if c in table.columns]
    hits = [pl.col(c).str.to_lowercase().str.contains(wanted, literal=True).fill_null(False) for c in texts]
    number = pl.col("feature") == int(wanted) if wanted.isdecimal() and len(wanted) < 10 else pl.lit(False)
    return pl.any_horizontal(number, *hits)


def view_of_request(request: object, search: object, members: object = None) -> View:
    """The view that AG Grid's `getRowsRequest` describes; raises AddressError for what is not valid."""
    asked = request if isinstance(request, dict) else {}
    sorts = [_sort_of_model(model) for model in _list(asked.get("sortModel"))]
    filters = asked.get("filterModel") or {}
    if not isinstance(filters, dict):
        raise AddressError(f"filters {shortened(filters)}", "one for each column", "filter on the page")
    return View(
        tuple(sorts),
        tuple(_filter_of_model(name, model) for name, model in filters.items()),
        _searched(search),
        _set_name(members),
    )


def rows_asked(request: object) -> range:
    """The rows that AG Grid's request is for; raises AddressError."""
    asked = request if isinstance(request, dict) else {}
    first, stop = asked.get("startRow", 0), asked.get("endRow", 100)
    valid = all(isinstance(v, int) and not isinstance(v, bool) for v in (first, stop))
    if not valid or not 0 <= first <= stop <= first + MOST_ROWS:
        wanted = f"{shortened(first)} to {shortened(stop)}"
        raise AddressError(f"rows {wanted}", f"at most {MOST_ROWS:,} at a time", "scroll on the page")
    return range(first, stop)


def _list(value: object) -> list[Any]:
    return value[: len(COLUMNS)] if isinstance(value, list) else []


def _sort_of_model(model: object) -> Sort:
    if not isinstance(model, dict):
        raise AddressError(f"sort {shortened(model)}", "a column and a direction", "sort on the page")
    direction = one_of(model.get("sort"), ("asc", "desc"), "a direction")
    return Sort(_column(model.get("colId")), direction == "desc")


def _filter_of_model(name: object, model: object) -> Filter:
    column = _column(name)
    if not isinstance(model, dict):
        raise AddressError(f"filter {shortened(model)}", "a test and a value", "filter on the page")
    return _checked(column, model.get("type"), model.get("filter"), model.get("filterTo"))


def _column(name: object) -> str:
    if not isinstance(name, str) or name not in BY_NAME:
        raise AddressError(f"column {shortened(name)}", f"one of {', '.join(BY_NAME)}", "correct the address")
    return name


def _checked(column: str, test: object, value: object, to: object) -> Filter:
    is_text = BY_NAME[column].is_text
    known = tuple(TEXT_TESTS if is_text else NUMBER_TESTS)
    kind = one_of("" if test is None else test, known, f"test of {column}")
    if kind in WITHOUT_VALUE:
        return Filter(column, kind)
    if is_text:
        return Filter(column, kind, str(value)[:LONGEST_SEARCH])
    upper = _number(column, to) if kind == "inRange" else None
    return Filter(column, kind, _number(column, value), upper)


def _number(column: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise AddressError(f"{column} compared with {shortened(value)}", "a number", "correct the filter")
    return number


def _searched(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCH:
        raise AddressError(
            f"a search for {shortened(value)}", f"at most {LONGEST_SEARCH} characters", "shorten it"
        )
    return value.strip("\r\n")


def _set_name(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCH:
        raise AddressError(f"set {shortened(value)}", "the name of a feature set", "choose one on the page")
    return value


def view_of_address(address: Address) -> View:
    """The view that an address names: `?sort=max:desc&frac_active=lessThan:0.01&search=the`."""
    sorts, filters, search = [], [], ""
    members = _set_name(address.parameters.get(SET_PARAMETER))
    for name, value in address.parameters.items():
        if name == "sort":
            sorts = [_sort_of_text(part) for part in value.split(",") if part][: len(COLUMNS)]
        elif name == "search":
            search = _searched(value)
        elif name not in (COLUMNS_PARAMETER, SET_PARAMETER):
            filters.append(_filter_of_text(name, value))
    return View(tuple(sorts), tuple(filters), search, members)


def _sort_of_text(text: str) -> Sort:
    column, _, direction = text.partition(":")
    return _sort_of_model({"colId": column, "sort": direction or "asc"})


def _filter_of_text(name: str, text: str) -> Filter:
    column = _column(name)
    test, _, value = text.partition(":")
    lower, _, upper = value.partition(":") if test == "inRange" else (value, "", "")
    return _checked(column, test, lower, upper)


def parameters_of_view(view: View) -> dict[str, str]:
    """The address parameters of a view; `view_of_address` reads them back."""
    found = {}
    if view.sorts:
        found["sort"] = ",".join(f"{s.column}:{'desc' if s.descending else 'asc'}" for s in view.sorts)
    for asked in view.filters:
        values = [_spelled(v) for v in (asked.value, asked.to) if v is not None]
        found[asked.column] = ":".join([asked.test, *values])
    if view.search:
        found["search"] = view.search
    if view.members:
        found[SET_PARAMETER] = view.members
    return found


def _spelled(value: str | float) -> str:
    """Exactly: a range must hold the same features when its address is read again."""
    return value if isinstance(value, str) else repr(float(value)).removesuffix(".0")


def filter_model(view: View) -> dict[str, dict[str, Any]]:
    """AG Grid's model of the filters of a view."""
    return {asked.column: _model(asked) for asked in view.filters}


def _model(asked: Filter) -> dict[str, Any]:
    kind = "text" if BY_NAME[asked.column].is_text else "number"
    model = {"filterType": kind, "type": asked.test, "filter": asked.value, "filterTo": asked.to}
    return {key: value for key, value in model.items() if value is not None}

"""What grids share whose rows come from the server as one scrolls: look, options, columns, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dash import Dash, Input, Output, State, no_update

from dashboard.grid import Sort
from dashboard.sorted_rows import sort_model

BLOCK = 100
"""Rows that the browser asks for at a time."""
THEME = (
    "themeQuartz.withParams({backgroundColor: 'var(--surface)', foregroundColor: 'var(--text)', "
    "accentColor: 'var(--accent)', borderColor: 'var(--line)', headerBackgroundColor: 'var(--surface-2)', "
    "headerTextColor: 'var(--dim)', rowHoverColor: 'var(--hover)', fontFamily: 'inherit', fontSize: 13, "
    "headerFontSize: 12, headerFontWeight: 600, spacing: 5, cellHorizontalPadding: 10, "
    "selectedRowBackgroundColor: 'var(--accent-soft)', "
    "wrapperBorderRadius: 8, browserColorScheme: 'inherit'})"
)
OPTIONS: dict[str, Any] = {
    "theme": {"function": THEME},
    "cacheBlockSize": BLOCK,
    "maxBlocksInCache": 20,
    "maxConcurrentDatasourceRequests": 1,
    "rowHeight": 32,
    "headerHeight": 34,
    "animateRows": False,
    "enableCellTextSelection": True,
    "tooltipShowDelay": 300,
}
COLUMN_DEFAULTS: dict[str, Any] = {
    "resizable": True,
    "suppressHeaderMenuButton": True,
    "wrapHeaderText": True,
    "autoHeaderHeight": True,
}


class Described(Protocol):
    """A column that explains itself."""

    @property
    def name(self) -> str:
        """Of the table's column."""
        ...

    @property
    def heading(self) -> str:
        """Above the column."""
        ...

    @property
    def explanation(self) -> str:
        """Shown on demand."""
        ...

    @property
    def width(self) -> int:
        """Pixels, to begin with."""
        ...


def described(column: Described, sorts: Sequence[Sort]) -> dict[str, Any]:
    """AG Grid's definition of a column, as far as every grid has it; sorted as the sorts say."""
    definition: dict[str, Any] = {
        "field": column.name,
        "colId": column.name,
        "headerName": column.heading,
        "headerTooltip": column.explanation,
        "initialWidth": column.width,
    }
    order = sort_model(sorts)
    if column.name in order:
        place, direction = order[column.name]
        definition |= {"sort": direction, "sortIndex": place}
    return definition


def answer_requests(
    app: Dash, grid: str, said: str, answer: Callable[..., tuple[Any, Any]], *given: State
) -> None:
    """Have `answer` give a grid the block of rows that it asks for, and words for the element `said`.

    It is asked with the request and the values of `given`.
    """

    @app.callback(
        Output(grid, "getRowsResponse"),
        Output(said, "children"),
        Input(grid, "getRowsRequest"),
        *given,
        prevent_initial_call=True,
    )
    def rows(request: object, *values: object) -> Any:
        return (no_update, no_update) if request is None else answer(request, *values)

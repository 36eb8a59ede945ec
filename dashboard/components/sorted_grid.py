"""A grid whose rows come from the server in the order that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import html

from dashboard.components.browser import spoken
from dashboard.components.feature_grid import THEME
from dashboard.grid import Sort
from dashboard.sorted_rows import GridColumn, sort_model

BLOCK = 100
"""Rows that the browser asks for at a time."""
STRETCHED = ("TokenCell", "TokensCell", "TextCell")
"""Cells of text, whose columns take the room that is left."""


def sorted_grid(
    name: str,
    columns: Sequence[GridColumn],
    sorts: Sequence[Sort],
    label: str,
    *,
    row_id: str,
    height: str = "100%",
    pick_rows: bool = False,
) -> html.Div:
    """The grid; `row_id` is the column whose value tells rows apart, `pick_rows` adds boxes to tick."""
    order = sort_model(sorts)
    options: dict[str, Any] = {
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
    if pick_rows:
        options["rowSelection"] = {"mode": "multiRow", "headerCheckbox": False, "enableClickSelection": False}
    grid = dag.AgGrid(
        id=name,
        columnDefs=[_definition(column, order) for column in columns],
        defaultColDef={
            "resizable": True,
            "suppressHeaderMenuButton": True,
            "wrapHeaderText": True,
            "autoHeaderHeight": True,
        },
        rowModelType="infinite",
        getRowId=f"'' + params.data.{row_id}",
        dashGridOptions=options,
        style={"height": "100%", "width": "100%"},
        className="feature-grid sorted-grid",
    )
    return html.Div(grid, style={"height": height}, role="region", **spoken(label))


def _definition(column: GridColumn, order: dict[str, tuple[int, str]]) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "field": column.name,
        "colId": column.name,
        "headerName": column.heading,
        "headerTooltip": column.explanation,
        "sortable": column.sortable,
        "initialWidth": column.width,
        "minWidth": 70,
    }
    if column.renderer:
        definition["cellRenderer"] = column.renderer
    if column.renderer in STRETCHED:
        definition |= {"flex": column.width // 50, "minWidth": column.width * 3 // 4}
    if column.formatter:
        definition["valueFormatter"] = {"function": f"{column.formatter}(params.value)"}
        definition["type"] = "rightAligned"
    if column.name in order:
        place, direction = order[column.name]
        definition |= {"sort": direction, "sortIndex": place}
    return definition

"""A grid whose rows come from the server in the order that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import html

from dashboard.components.browser import spoken
from dashboard.components.server_grid import COLUMN_DEFAULTS, OPTIONS, described
from dashboard.grid import Sort
from dashboard.sorted_rows import GridColumn

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
    picking = {"mode": "multiRow", "headerCheckbox": False, "enableClickSelection": False}
    options = {**OPTIONS, **({"rowSelection": picking} if pick_rows else {})}
    grid = dag.AgGrid(
        id=name,
        columnDefs=[_definition(column, sorts) for column in columns],
        defaultColDef=COLUMN_DEFAULTS,
        rowModelType="infinite",
        getRowId=f"'' + params.data.{row_id}",
        dashGridOptions=options,
        style={"height": "100%", "width": "100%"},
        className="feature-grid sorted-grid",
    )
    return html.Div(grid, style={"height": height}, role="region", **spoken(label))


def _definition(column: GridColumn, sorts: Sequence[Sort]) -> dict[str, Any]:
    definition = {
        **described(column, sorts),
        "sortable": column.sortable,
        "minWidth": 70,
        "hide": column.hidden,
    }
    if column.renderer:
        definition["cellRenderer"] = column.renderer
    if column.renderer in STRETCHED:
        definition |= {"flex": column.width // 50, "minWidth": column.width * 3 // 4}
    if column.formatter:
        definition["valueFormatter"] = {"function": f"{column.formatter}(params.value)"}
        definition["type"] = "rightAligned"
    return definition

"""The grid of the feature table: how AG Grid is told about columns, rows, sorts and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dash_ag_grid as dag
import polars as pl

from dashboard import grid
from dashboard.columns import COLUMNS, Column

BLOCK = 100
"""Rows that the browser asks for at a time."""
FORMATTERS: Mapping[str, str] = MappingProxyType(
    {"count": "lightwellCount", "decimal": "lightwellDecimal", "share": "lightwellShare"}
)
RENDERERS: Mapping[str, str] = MappingProxyType(
    {
        "feature": "FeatureCell",
        "related": "FeatureCell",
        "tokens": "TokensCell",
        "cluster": "TextCell",
        "text": "TextCell",
    }
)
SHARE_FILTER: Mapping[str, Any] = MappingProxyType(
    {
        "allowedCharPattern": r"[\d.,\-eE+ %]",
        "numberParser": {"function": "lightwellReadShare(params)"},
        "numberFormatter": {"function": "lightwellWriteShare(params)"},
    }
)
"""Shares are typed as they are shown, in percent; addresses keep them as fractions of 1."""
THEME = (
    "themeQuartz.withParams({backgroundColor: 'var(--surface)', foregroundColor: 'var(--text)', "
    "accentColor: 'var(--accent)', borderColor: 'var(--line)', headerBackgroundColor: 'var(--surface-2)', "
    "headerTextColor: 'var(--dim)', rowHoverColor: 'var(--hover)', fontFamily: 'inherit', fontSize: 13, "
    "headerFontSize: 12, headerFontWeight: 600, spacing: 5, cellHorizontalPadding: 10, "
    "selectedRowBackgroundColor: 'var(--accent-soft)', "
    "wrapperBorderRadius: 8, browserColorScheme: 'inherit'})"
)


def feature_grid(
    table: pl.DataFrame, view: grid.View, shown: Sequence[str], name: str = "grid", choosing: bool = True
) -> dag.AgGrid:
    """The grid, which asks for blocks of rows as one scrolls; `shown` are the names of its columns.

    `choosing` says whether rows can be chosen.
    """
    there = [column for column in COLUMNS if column.name in table.columns]
    return dag.AgGrid(
        id=name,
        rowModelType="infinite",
        columnDefs=[column_definition(column, view, column.name in shown) for column in there],
        defaultColDef={
            "sortable": True,
            "resizable": True,
            "floatingFilter": True,
            "suppressHeaderMenuButton": True,
            "suppressMovable": True,
            "wrapHeaderText": True,
            "autoHeaderHeight": True,
        },
        filterModel=grid.filter_model(view),
        getRowId="params.data.feature.toString()",
        dashGridOptions=OPTIONS if choosing else WITHOUT_CHOICE,
        className="feature-grid",
        style={"height": None, "width": "100%"},
    )


OPTIONS: dict[str, Any] = {
    "theme": {"function": THEME},
    "cacheBlockSize": BLOCK,
    "maxBlocksInCache": 20,
    "maxConcurrentDatasourceRequests": 1,
    "rowHeight": 32,
    "headerHeight": 34,
    "suppressMultiSort": False,
    "animateRows": False,
    "enableCellTextSelection": True,
    "tooltipShowDelay": 300,
    "rowSelection": {
        "mode": "multiRow",
        "checkboxes": True,
        "headerCheckbox": False,
        "enableClickSelection": False,
    },
    "selectionColumnDef": {"pinned": "left", "width": 38, "resizable": False},
}


WITHOUT_CHOICE = {key: value for key, value in OPTIONS.items() if not key.startswith(("rowSel", "selection"))}


def column_definition(column: Column, view: grid.View, is_shown: bool = True) -> dict[str, Any]:
    """AG Grid's definition of a column, sorted as the view says."""
    order = {sort.column: (place, sort) for place, sort in enumerate(view.sorts)}
    share = SHARE_FILTER if column.kind == "share" else {}
    definition: dict[str, Any] = {
        "field": column.name,
        "colId": column.name,
        "headerName": column.heading,
        "headerTooltip": column.explanation,
        "filter": "agTextColumnFilter" if column.is_text else "agNumberColumnFilter",
        "filterParams": {"maxNumConditions": 1, "debounceMs": 250, **share},
        "initialWidth": column.width,
        "minWidth": 80,
        "hide": not is_shown,
    }
    if column.is_text:
        definition |= {"flex": column.width // 50, "minWidth": min(column.width, 150)}
    if column.kind in FORMATTERS:
        call = f"{FORMATTERS[column.kind]}(params.value)"
        definition |= {"valueFormatter": {"function": call}, "type": "rightAligned"}
    if column.kind in RENDERERS:
        definition["cellRenderer"] = RENDERERS[column.kind]
    if column.name == "feature":
        definition |= {"pinned": "left", "lockPinned": True}
    if column.name in order:
        place, sort = order[column.name]
        definition |= {"sort": "desc" if sort.descending else "asc", "sortIndex": place}
    return definition
